package resolve

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/ringwall/ringwall/edge"
)

// A walk is one look-up on its way from answer to answer.
type walk struct {
	r      *Resolver
	ctx    context.Context
	ttl    time.Duration // of the answer that ends first
	failed error         // the first part that could not be renewed
}

// records returns the records of one kind. A failure that an older answer stands in for is noted, not returned.
func (w *walk) records(name string, kind uint16) ([]dns.RR, error) {
	a, left, err := w.r.get(w.ctx, question{dns.CanonicalName(name), kind})
	w.ttl = min(w.ttl, left)
	if err != nil && a.valid {
		w.note(err)
		err = nil
	}
	return a.records, err
}

func (w *walk) note(err error) {
	if w.failed == nil {
		w.failed = err
	}
}

// A service is a name with SRV records and the transport that they are for.
type service struct {
	transport edge.Transport
	name      string
}

// locate is RFC 3263 §4.1 and §4.2.
func (w *walk) locate(q Query) ([]Target, error) {
	transport, err := q.transport()
	if err != nil {
		return nil, err
	}
	port := q.Port
	if port == 0 && !q.AddressOnly {
		port = defaultPort(transport)
	}
	_, numeric := literal(q.Host)
	if q.AddressOnly || q.Port != 0 || numeric || len(w.r.system.hostAddrs(q.Host)) > 0 {
		return w.addressed(q.Host, port, transport)
	}
	services, err := w.services(q, transport)
	if err != nil {
		return nil, err
	}
	if all, found, err := w.served(q.Host, services); found || err != nil {
		return all, err
	}
	return w.addressed(q.Host, port, transport)
}

// transport is the one that q names, or the one for who names none (RFC 3263 §4.1).
func (q Query) transport() (edge.Transport, error) {
	switch {
	case q.AddressOnly:
		return q.Transport, nil
	case q.Named && q.Transport.WebSocket():
		return 0, missing(q.Host, "%s cannot be reached over %v: WebSocket connections are made by clients only", q.Host, q.Transport)
	case q.Named && q.Secure && q.Transport == edge.UDP:
		return 0, missing(q.Host, "%s cannot be reached over udp: sips means TLS", q.Host)
	case q.Secure:
		return edge.TLS, nil
	case q.Named:
		return q.Transport, nil
	}
	return edge.UDP, nil
}

func defaultPort(t edge.Transport) uint16 {
	if t.Secure() {
		return 5061
	}
	return 5060
}

// services names the SRV records to ask for: those of the transport that q names, else those that the NAPTR records name, best
// first, else those of every transport.
func (w *walk) services(q Query, t edge.Transport) ([]service, error) {
	if q.Named {
		return []service{{t, srvName(t, q.Host)}}, nil
	}
	all, err := w.records(q.Host, dns.TypeNAPTR)
	if err != nil {
		return nil, err
	}
	if list := pointed(all, q); len(list) > 0 {
		return list, nil
	}
	if q.Secure {
		return []service{{edge.TLS, srvName(edge.TLS, q.Host)}}, nil
	}
	var list []service
	for _, t := range []edge.Transport{edge.UDP, edge.TCP} {
		if q.Speaks.has(t) {
			list = append(list, service{t, srvName(t, q.Host)})
		}
	}
	return list, nil
}

// srvName is RFC 3263 §4.1: the service is sips where TLS is asked for.
func srvName(t edge.Transport, host string) string {
	return map[edge.Transport]string{edge.UDP: "_sip._udp.", edge.TCP: "_sip._tcp.", edge.TLS: "_sips._tcp."}[t] + host
}

// pointed returns where NAPTR records lead: those of the smallest order that has a transport the caller speaks, by preference.
func pointed(all []dns.RR, q Query) (list []service) {
	transports := map[string]edge.Transport{"SIP+D2U": edge.UDP, "SIP+D2T": edge.TCP, "SIPS+D2T": edge.TLS}
	var usable []*dns.NAPTR
	for _, rr := range all {
		n, ok := rr.(*dns.NAPTR)
		if !ok {
			continue
		}
		t, known := transports[strings.ToUpper(n.Service)]
		fits := known && q.Speaks.has(t) && (t == edge.TLS || !q.Secure)
		if fits && strings.EqualFold(n.Flags, "s") && n.Regexp == "" && n.Replacement != "." {
			usable = append(usable, n)
		}
	}
	slices.SortStableFunc(usable, func(a, b *dns.NAPTR) int {
		return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(a.Preference, b.Preference))
	})
	for _, n := range usable {
		if n.Order == usable[0].Order {
			list = append(list, service{transports[strings.ToUpper(n.Service)], n.Replacement})
		}
	}
	return list
}

// served follows the SRV records of services. found says that there are any: then the addresses of host itself do not count,
// even if the records say that the service is not offered (target ".", RFC 2782).
func (w *walk) served(host string, services []service) (all []Target, found bool, err error) {
	rank := 0
	for _, s := range services {
		list, err := w.records(s.name, dns.TypeSRV)
		if err != nil {
			return nil, true, err
		}
		found = found || len(list) > 0
		for _, group := range byPriority(list) {
			for _, srv := range drawn(group) {
				all = append(all, w.target(srv, s.transport, rank)...)
			}
			rank++
			if len(all) >= maxTargets {
				return all, true, nil
			}
		}
	}
	if !found || len(all) > 0 {
		return all, found, nil
	}
	if w.failed != nil {
		return nil, true, w.failed
	}
	return nil, true, missing(host, "the SRV records of %s name no server that has an address", host)
}

// target returns the places that one SRV record names. A record whose host can't be looked up is passed over: others may do.
func (w *walk) target(srv *dns.SRV, t edge.Transport, rank int) []Target {
	host := strings.TrimSuffix(srv.Target, ".")
	if host == "" || srv.Port == 0 {
		return nil
	}
	addrs, err := w.addrs(srv.Target)
	if err != nil {
		w.note(err)
	}
	var all []Target
	for _, a := range addrs {
		all = append(all, Target{netip.AddrPortFrom(a, srv.Port), t, rank, int(srv.Weight), host})
	}
	return all
}

// byPriority groups SRV records, smallest priority first.
func byPriority(list []dns.RR) (groups [][]*dns.SRV) {
	var all []*dns.SRV
	for _, rr := range list {
		if srv, ok := rr.(*dns.SRV); ok {
			all = append(all, srv)
		}
	}
	slices.SortStableFunc(all, func(a, b *dns.SRV) int { return cmp.Compare(a.Priority, b.Priority) })
	for i, srv := range all {
		if i == 0 || srv.Priority != all[i-1].Priority {
			groups = append(groups, nil)
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], srv)
	}
	return groups
}

// drawn puts records of one priority into the order of RFC 2782: each next one is drawn with a chance in proportion to its weight; one
// of weight 0 has a very small one.
func drawn(group []*dns.SRV) (order []*dns.SRV) {
	left := slices.Clone(group)
	slices.SortStableFunc(left, func(a, b *dns.SRV) int { return cmp.Compare(min(a.Weight, 1), min(b.Weight, 1)) }) // weight 0 first
	for len(left) > 0 {
		sum := 0
		for _, srv := range left {
			sum += int(srv.Weight)
		}
		draw, i := rand.IntN(sum+1), 0
		for run := int(left[0].Weight); run < draw; run += int(left[i].Weight) {
			i++
		}
		order = append(order, left[i])
		left = slices.Delete(left, i, i+1)
	}
	return order
}

// addressed returns the addresses of host as targets.
func (w *walk) addressed(host string, port uint16, t edge.Transport) ([]Target, error) {
	addrs, err := w.addrs(host)
	var all []Target
	for _, a := range addrs {
		all = append(all, Target{Addr: netip.AddrPortFrom(a, port), Transport: t, Host: host})
	}
	return all, err
}

// addrs returns the addresses of host, best first.
func (w *walk) addrs(host string) ([]netip.Addr, error) {
	if a, ok := literal(host); ok {
		return []netip.Addr{a}, nil
	}
	if all := w.r.system.hostAddrs(host); len(all) > 0 {
		w.ttl = min(w.ttl, hostsTTL)
		return all, nil
	}
	for _, name := range w.r.system.names(host) {
		all, err := w.inDNS(name)
		if err != nil || len(all) > 0 {
			return all, err
		}
	}
	return nil, missing(host, "the name %s has no address", strings.TrimSuffix(host, "."))
}

// inDNS asks for A and AAAA. If one kind cannot be had, the other will do: a host that has IPv4 alone is not lost because its DNS
// server chokes on AAAA.
func (w *walk) inDNS(name string) (all []netip.Addr, err error) {
	var failed error
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
		list, err := w.records(name, kind)
		failed = errors.Join(failed, err)
		for _, rr := range list {
			if a := address(rr); sendable(a) && !slices.Contains(all, a) {
				all = append(all, a)
			}
		}
	}
	if failed != nil && len(all) == 0 {
		var first *Error
		if errors.As(failed, &first) {
			return nil, first
		}
		return nil, failed
	}
	if failed != nil {
		w.note(failed)
	}
	slices.SortStableFunc(all, func(a, b netip.Addr) int { return cmp.Compare(preference(a), preference(b)) })
	return all, nil
}

func address(rr dns.RR) (a netip.Addr) {
	switch rr := rr.(type) {
	case *dns.A:
		a, _ = netip.AddrFromSlice(rr.A)
	case *dns.AAAA:
		a, _ = netip.AddrFromSlice(rr.AAAA)
	}
	return a.Unmap()
}

// sendable reports whether a is the address of one machine.
func sendable(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// preference is RFC 6724 §2.1 in short: global IPv6, IPv4, everything else.
func preference(a netip.Addr) int {
	switch {
	case a.Is6() && a.IsGlobalUnicast() && !a.IsPrivate():
		return 0
	case a.Is4():
		return 1
	}
	return 2
}

// literal returns the address that host is.
func literal(host string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	return a.Unmap(), err == nil
}
