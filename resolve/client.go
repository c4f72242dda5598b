package resolve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// payload is the size of UDP answers that we ask for: it fits every path (DNS flag day 2020).
const payload = 1232

// query asks the DNS servers for q, following aliases. What it returns has at most maxRecords records, all of the kind asked for and of
// the name that the aliases led to; none is an answer, too.
func (r *Resolver) query(ctx context.Context, q question) (records []dns.RR, ttl time.Duration, err error) {
	if _, ok := dns.IsDomainName(q.name); !ok || len(q.name) > 254 {
		return nil, 0, missing(q.name, "%q is not a domain name", bare(q.name))
	}
	if q.name == "invalid." || strings.HasSuffix(q.name, ".invalid.") {
		return nil, maxNegative, nil // no such names exist (RFC 6761 §6.4)
	}
	name, seconds := q.name, uint32(MaxTTL/time.Second)
	for hops := 0; hops <= maxAliases; {
		m, err := r.exchange(ctx, question{name, q.kind})
		if err != nil {
			return nil, 0, err
		}
		c := chain{name: name, hops: hops, ttl: seconds}
		records := c.follow(m.Answer, q.kind)
		switch {
		case len(records) > 0:
			return records, clamp(c.ttl, MaxTTL), nil
		case c.hops == hops, soa(m) != nil, m.Rcode == dns.RcodeNameError:
			return nil, min(clamp(c.ttl, MaxTTL), negative(m)), nil
		}
		name, hops, seconds = c.name, c.hops, c.ttl // the server told the alias but not what it stands for
	}
	return nil, 0, failure(q.name, "the name %s leads through more than %d aliases", bare(q.name), maxAliases)
}

// A chain follows aliases through an answer.
type chain struct {
	name string // reached so far
	hops int
	ttl  uint32 // seconds, of the record that ends first
}

// follow returns the records of kind at the end of the aliases. Records of names that the chain does not meet do not count.
func (c *chain) follow(section []dns.RR, kind uint16) (records []dns.RR) {
	for c.hops <= maxAliases {
		var alias *dns.CNAME
		for _, rr := range section {
			h := rr.Header()
			if h.Class != dns.ClassINET || dns.CanonicalName(h.Name) != c.name {
				continue
			}
			if h.Rrtype == kind {
				records = append(records, rr)
				c.ttl = min(c.ttl, h.Ttl)
			} else if found, ok := rr.(*dns.CNAME); ok {
				alias = found
			}
		}
		if len(records) > 0 || alias == nil {
			return best(records)
		}
		c.name, c.ttl = dns.CanonicalName(alias.Target), min(c.ttl, alias.Hdr.Ttl)
		c.hops++
	}
	return nil
}

// best returns at most maxRecords records: of SRV those of the smallest priorities, else the first.
func best(all []dns.RR) []dns.RR {
	if len(all) <= maxRecords {
		return all
	}
	var kept []dns.RR
	for _, group := range byPriority(all) {
		for _, srv := range group {
			kept = append(kept, srv)
		}
	}
	if len(kept) == 0 {
		kept = all
	}
	return kept[:maxRecords:maxRecords]
}

func clamp(seconds uint32, most time.Duration) time.Duration {
	return max(MinTTL, min(most, time.Duration(seconds)*time.Second))
}

func soa(m *dns.Msg) *dns.SOA {
	for _, rr := range m.Ns {
		if s, ok := rr.(*dns.SOA); ok {
			return s
		}
	}
	return nil
}

// negative is how long "there is none" holds (RFC 2308 §5).
func negative(m *dns.Msg) time.Duration {
	if s := soa(m); s != nil {
		return clamp(min(s.Hdr.Ttl, s.Minttl), maxNegative)
	}
	return negativeTTL
}

// exchange asks one server after the other, and all of them again, until one gives a usable answer. The server that gave the last
// one is asked first, so that a dead one costs time once and not at each question.
func (r *Resolver) exchange(ctx context.Context, q question) (*dns.Msg, error) {
	servers, tries := r.servers()
	if last := r.good.Load(); last != nil {
		if i := slices.Index(servers, *last); i > 0 {
			servers[0], servers[i] = servers[i], servers[0]
		}
	}
	var err error
	for range tries {
		for _, server := range servers {
			var m *dns.Msg
			if m, err = r.try(ctx, server, q); err == nil {
				r.good.Store(&server)
			}
			if err == nil || ctx.Err() != nil {
				return m, err
			}
		}
	}
	return nil, err
}

// try asks one server, over TCP if the answer does not fit into a datagram.
func (r *Resolver) try(ctx context.Context, server string, q question) (*dns.Msg, error) {
	m, err := r.send(ctx, "udp", server, q)
	if err == nil && m.Truncated {
		m, err = r.send(ctx, "tcp", server, q)
	}
	if err != nil {
		return nil, failure(q.name, "looking up the name %s: %s", bare(q.name), inWords(err, server, r.cfg.Timeout))
	}
	if why := unusable(m, q); why != "" {
		return nil, failure(q.name, "looking up the name %s: the DNS server %s %s", bare(q.name), server, why)
	}
	return m, nil
}

// send makes one try over network. Every query has a random id and a socket, and so a random port, of its own: who does not see
// it can hardly forge an answer (RFC 5452).
func (r *Resolver) send(ctx context.Context, network, server string, q question) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetQuestion(q.name, q.kind)
	m.SetEdns0(payload, false)
	client := dns.Client{Net: network, Timeout: r.cfg.Timeout}
	conn, err := client.DialContext(ctx, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	got, _, err := client.ExchangeWithConnContext(ctx, m, conn)
	if end, is := ctx.Deadline(); err != nil && is && !time.Now().Before(end) {
		<-ctx.Done() // the socket's deadline, which is the same, fires a moment earlier
	}
	return got, err
}

// inWords says shortly why server gave no answer.
func inWords(err error, server string, limit time.Duration) string {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Sprintf("got no answer from the DNS server %s within %v", server, limit)
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		err = op.Err
	}
	return fmt.Sprintf("the DNS server %s cannot be asked: %v", server, err)
}

// unusable says why m does not answer q; "" if it does.
func unusable(m *dns.Msg, q question) string {
	switch {
	case !m.Response || m.Opcode != dns.OpcodeQuery || m.Truncated:
		return "sent something that is no answer"
	case len(m.Question) != 1 || dns.CanonicalName(m.Question[0].Name) != q.name || m.Question[0].Qtype != q.kind || m.Question[0].Qclass != dns.ClassINET:
		return "answered another question"
	case m.Rcode == dns.RcodeNotImplemented && q.kind != dns.TypeA:
		return "" // it knows no such records, so there are none
	case m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError:
		return "says " + dns.RcodeToString[m.Rcode]
	case m.Rcode == dns.RcodeSuccess && len(m.Answer) == 0 && soa(m) == nil && !m.Authoritative && !m.RecursionAvailable:
		return "does not look names up for others"
	}
	return ""
}

// serverAddr is s as address:port.
func serverAddr(s string) (string, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(a, 53).String(), nil
	}
	at, err := netip.ParseAddrPort(s)
	if err != nil {
		return "", fmt.Errorf("resolve: the DNS server %q is neither an address nor address:port", s)
	}
	return at.String(), nil
}

// bare is name without the last dot.
func bare(name string) string { return strings.TrimSuffix(name, ".") }
