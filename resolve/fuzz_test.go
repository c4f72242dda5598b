package resolve

import (
	"testing"

	"github.com/miekg/dns"
)

// FuzzAnswer: whatever a server sends, what is taken from it is bounded, of the kind asked for and of the name that aliases lead to.
func FuzzAnswer(f *testing.F) {
	kinds := []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypeNAPTR}
	for _, text := range platform {
		rr, err := dns.NewRR(text)
		if err != nil {
			f.Fatal(err)
		}
		m := new(dns.Msg).SetQuestion(rr.Header().Name, rr.Header().Rrtype)
		m.Response, m.Answer = true, []dns.RR{rr}
		if packed, err := m.Pack(); err == nil {
			f.Add(packed)
		}
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		var m dns.Msg
		if m.Unpack(packet) != nil || len(m.Question) == 0 {
			return
		}
		name := dns.CanonicalName(m.Question[0].Name)
		for _, kind := range kinds {
			_ = unusable(&m, question{name, kind})
			_ = negative(&m)
			c := chain{name: name}
			records := c.follow(m.Answer, kind)
			if len(records) > maxRecords || c.hops > maxAliases+1 {
				t.Fatalf("%d records after %d aliases", len(records), c.hops)
			}
			for _, rr := range records {
				if h := rr.Header(); h.Rrtype != kind || dns.CanonicalName(h.Name) != c.name {
					t.Fatalf("asked for %d of %s, took %v", kind, c.name, rr)
				}
			}
			for _, s := range pointed(records, Query{}) {
				if s.name == "" {
					t.Fatal("a service without a name")
				}
			}
			n := 0
			for _, group := range byPriority(records) {
				n += len(drawn(group))
			}
			if kind == dns.TypeSRV && n != len(records) {
				t.Fatalf("%d of %d SRV records are drawn", n, len(records))
			}
		}
	})
}
