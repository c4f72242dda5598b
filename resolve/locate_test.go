package resolve

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/ringwall/ringwall/edge"
)

// platform is a zone as a careful operator writes it.
var platform = []string{
	`platform.example. 300 IN NAPTR 10 50 "s" "SIPS+D2T" "" _sips._tcp.platform.example.`,
	`platform.example. 300 IN NAPTR 10 60 "s" "SIP+D2T" "" _sip._tcp.platform.example.`,
	`platform.example. 300 IN NAPTR 10 40 "u" "E2U+sip" "!^.*$!sip:x@platform.example!" .`,
	`platform.example. 300 IN NAPTR 20 10 "s" "SIP+D2U" "" _sip._udp.platform.example.`,
	`_sips._tcp.platform.example. 120 IN SRV 5 0 5061 a.platform.example.`,
	`_sip._tcp.platform.example. 90 IN SRV 5 10 5070 a.platform.example.`,
	`_sip._tcp.platform.example. 90 IN SRV 7 10 5060 b.platform.example.`,
	`_sip._udp.platform.example. 90 IN SRV 1 1 5060 b.platform.example.`,
	`a.platform.example. 60 IN A 192.0.2.1`,
	`b.platform.example. 70 IN A 192.0.2.2`,
	`b.platform.example. 70 IN AAAA 2001:db8::2`,

	`srv.example. 300 IN A 192.0.2.99`,
	`_sip._tcp.srv.example. 300 IN SRV 1 1 5068 a.platform.example.`,
	`_sips._tcp.srv.example. 300 IN SRV 1 1 5069 a.platform.example.`,

	`plain.example. 300 IN A 192.0.2.7`,
	`closed.example. 300 IN A 192.0.2.8`,
	`_sip._udp.closed.example. 300 IN SRV 0 0 0 .`,
	`part.example. 300 IN A 192.0.2.9`,
	`_sip._udp.part.example. 300 IN SRV 1 1 5060 gone.example.`,
	`_sip._udp.part.example. 300 IN SRV 2 1 5060 a.platform.example.`,
}

// TestLocate is RFC 3263 §4.1 and §4.2 case by case.
func TestLocate(t *testing.T) {
	z := newZone(t, platform...)
	r, _ := newResolver(t, z)
	for _, c := range []struct {
		name string
		q    Query
		want string
		ttl  time.Duration
	}{
		{"NAPTR, smallest order only, by preference, then SRV by priority", Query{Host: "platform.example"},
			"0/0 tls:192.0.2.1:5061, 1/10 tcp:192.0.2.1:5070, 2/10 tcp:[2001:db8::2]:5060, 2/10 tcp:192.0.2.2:5060", 30 * time.Second},
		{"case and last dot do not matter", Query{Host: "Platform.EXAMPLE."},
			"0/0 tls:192.0.2.1:5061, 1/10 tcp:192.0.2.1:5070, 2/10 tcp:[2001:db8::2]:5060, 2/10 tcp:192.0.2.2:5060", 30 * time.Second},
		{"sips: only what is TLS", Query{Host: "platform.example", Secure: true}, "0/0 tls:192.0.2.1:5061", 30 * time.Second},
		{"a named transport skips NAPTR", Query{Host: "platform.example", Named: true, Transport: edge.UDP},
			"0/1 udp:[2001:db8::2]:5060, 0/1 udp:192.0.2.2:5060", 70 * time.Second},
		{"transport=tls is _sips._tcp", Query{Host: "platform.example", Named: true, Transport: edge.TLS}, "0/0 tls:192.0.2.1:5061", 30 * time.Second},
		{"a port skips SRV", Query{Host: "b.platform.example", Port: 5099}, "0/0 udp:[2001:db8::2]:5099, 0/0 udp:192.0.2.2:5099", 70 * time.Second},
		{"a port, sips", Query{Host: "a.platform.example", Port: 5099, Secure: true}, "0/0 tls:192.0.2.1:5099", 30 * time.Second},
		{"who has no TLS takes the next preference", Query{Host: "platform.example", Speaks: Only(edge.UDP, edge.TCP, edge.WSS)},
			"0/10 tcp:192.0.2.1:5070, 1/10 tcp:[2001:db8::2]:5060, 1/10 tcp:192.0.2.2:5060", 30 * time.Second},
		{"who has only udp takes the next order", Query{Host: "platform.example", Speaks: Only(edge.UDP)},
			"0/1 udp:[2001:db8::2]:5060, 0/1 udp:192.0.2.2:5060", 70 * time.Second},
		{"no NAPTR: SRV of every transport", Query{Host: "srv.example"}, "0/1 tcp:192.0.2.1:5068", 30 * time.Second},
		{"no NAPTR, sips", Query{Host: "srv.example", Secure: true}, "0/1 tls:192.0.2.1:5069", 30 * time.Second},
		{"no SRV: the addresses", Query{Host: "plain.example"}, "0/0 udp:192.0.2.7:5060", 30 * time.Second},
		{"no SRV, TLS named", Query{Host: "plain.example", Named: true, Transport: edge.TLS}, "0/0 tls:192.0.2.7:5061", 30 * time.Second},
		{"sips with transport=tcp is TLS", Query{Host: "plain.example", Named: true, Transport: edge.TCP, Secure: true}, "0/0 tls:192.0.2.7:5061", 30 * time.Second},
		{"an address is one", Query{Host: "192.0.2.5"}, "0/0 udp:192.0.2.5:5060", MaxTTL},
		{"an IPv6 address in brackets", Query{Host: "[2001:db8::5]", Named: true, Transport: edge.TCP}, "0/0 tcp:[2001:db8::5]:5060", MaxTTL},
		{"a mapped address is IPv4", Query{Host: "::ffff:192.0.2.5", Port: 1}, "0/0 udp:192.0.2.5:1", MaxTTL},
		{"addresses only", Query{Host: "plain.example", AddressOnly: true}, "0/0 udp:192.0.2.7:0", 30 * time.Second},
		{"localhost is never asked for", Query{Host: "localhost"}, "0/0 udp:127.0.0.1:5060, 0/0 udp:[::1]:5060", hostsTTL},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ttl, err := r.Lookup(t.Context(), c.q)
			if err != nil || short(got) != c.want || ttl != c.ttl {
				t.Errorf("got %s for %v, %v; want %s for %v", short(got), ttl, err, c.want, c.ttl)
			}
		})
	}
	if n := z.count("localhost", dns.TypeA); n > 0 {
		t.Errorf("localhost was asked for %d times", n)
	}
}

// TestLocateFails: each failure is one sentence that names the name; a part that fails does not take the rest with it.
func TestLocateFails(t *testing.T) {
	z := newZone(t, platform...)
	r, _ := newResolver(t, z)
	for _, c := range []struct {
		name string
		q    Query
		want string
	}{
		{"no such name", Query{Host: "nowhere.example"}, "the name nowhere.example has no address"},
		{"RFC 6761", Query{Host: "nowhere.invalid"}, "the name nowhere.invalid has no address"},
		{"the service is not offered (RFC 2782)", Query{Host: "closed.example"}, "the SRV records of closed.example name no server that has an address"},
		{"WebSocket", Query{Host: "plain.example", Named: true, Transport: edge.WS}, "made by clients only"},
		{"sips over udp", Query{Host: "plain.example", Named: true, Transport: edge.UDP, Secure: true}, "sips means TLS"},
		{"no name at all", Query{Host: strings.Repeat("long.", 60) + "example"}, "is not a domain name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _, err := r.Lookup(t.Context(), c.q)
			var e *Error
			if len(got) != 0 || !errors.As(err, &e) || !e.NotFound || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %s, %v", short(got), err)
			}
		})
	}
	if n := z.count("nowhere.invalid", dns.TypeA); n > 0 {
		t.Errorf("nowhere.invalid was asked for %d times", n)
	}
	got, _, err := r.Lookup(t.Context(), Query{Host: "part.example"})
	if short(got) != "1/1 udp:192.0.2.1:5060" || err == nil || err.Error() != "the name gone.example has no address" {
		t.Errorf("an SRV record without address: %s, %v", short(got), err)
	}
}

// TestWeights: RFC 2782: who stands first is drawn by weight, and a weight of 0 still has a chance.
func TestWeights(t *testing.T) {
	z := newZone(t, `_sip._udp.w.example. 3600 IN SRV 1 30 1 a.example.`, `_sip._udp.w.example. 3600 IN SRV 1 10 2 a.example.`,
		`_sip._udp.w.example. 3600 IN SRV 1 0 3 a.example.`, `_sip._udp.w.example. 3600 IN SRV 0 0 4 a.example.`, `a.example. 3600 IN A 192.0.2.1`)
	r, _ := newResolver(t, z)
	const rounds = 8000
	second := map[uint16]int{}
	for range rounds {
		got, _, err := r.Lookup(t.Context(), Query{Host: "w.example", Named: true})
		if err != nil || len(got) != 4 || got[0].Addr.Port() != 4 {
			t.Fatalf("got %s, %v", short(got), err)
		}
		second[got[1].Addr.Port()]++
	}
	// Chances 30/41, 10/41 and 1/41 (the draw runs from 0 to the sum); five standard deviations at most 0.025.
	for port, chance := range map[uint16]float64{1: 30. / 41, 2: 10. / 41, 3: 1. / 41} {
		if share := float64(second[port]) / rounds; share < chance-0.03 || share > chance+0.03 || share == 0 {
			t.Errorf("port %d came first in %.3f, want about %.3f", port, share, chance)
		}
	}
	if n := z.total(); n > 3 {
		t.Errorf("%d questions for what the cache has", n)
	}
}

// TestBounds: hostile zones cannot make an answer long: 32 targets, the best ones.
func TestBounds(t *testing.T) {
	var records []string
	for i := range 60 {
		records = append(records, fmt.Sprintf("_sip._udp.big.example. 60 IN SRV %d 1 %d a.example.", 100-i, 1000+i),
			fmt.Sprintf("many.example. 60 IN A 192.0.2.%d", i))
	}
	z := newZone(t, append(records, "a.example. 60 IN A 192.0.2.1")...)
	r, _ := newResolver(t, z)
	got, _, err := r.Lookup(t.Context(), Query{Host: "big.example", Named: true})
	if err != nil || len(got) != maxTargets || got[0].Addr.Port() != 1059 || got[31].Addr.Port() != 1028 {
		t.Errorf("%d targets, %v: %s", len(got), err, short(got))
	}
	if z.tcp == 0 {
		t.Error("60 records came without TCP")
	}
	all, _, err := r.Addrs(t.Context(), "many.example")
	if err != nil || len(all) != maxRecords {
		t.Errorf("%d addresses, %v", len(all), err)
	}
}

// TestUnsendable: addresses that are none of one machine are no addresses.
func TestUnsendable(t *testing.T) {
	r, _ := newResolver(t, newZone(t, "a.example. 60 IN A 0.0.0.0", "a.example. 60 IN A 224.0.0.1", "a.example. 60 IN A 255.255.255.255",
		"a.example. 60 IN AAAA ::", "a.example. 60 IN AAAA ff02::1"))
	if all, _, err := r.Addrs(t.Context(), "a.example"); len(all) > 0 || err == nil {
		t.Errorf("got %v, %v", all, err)
	}
}
