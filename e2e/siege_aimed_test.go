package e2e

import (
	"fmt"
	"hash/crc32"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// aimedBits is how many bits of a hash without a key all names of one list share: enough for one place of any table.
const aimedBits = 12

// names are n different texts with a prefix. aimed: one hash without a key has the same low bits for all of them.
func names(n int, prefix string, aimed bool, hash func([]byte) uint64) (list []string) {
	text := []byte(prefix)
	for i := int64(0); len(list) < n; i++ {
		text = strconv.AppendInt(text[:len(prefix)], i, 10)
		if !aimed || hash(text)&(1<<aimedBits-1) == 7 {
			list = append(list, string(text))
		}
	}
	return list
}

// fnv1a is a hash that many tables use.
func fnv1a(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}

func crc(b []byte) uint64 { return uint64(crc32.ChecksumIEEE(b)) }

// sourcesOf are n loopback addresses: any, or those with the same low bits.
func sourcesOf(n int, aimed bool, own byte) (list []netip.Addr) {
	for i := range n {
		at := uint32(i * 61)
		if aimed {
			at = uint32(i)<<aimedBits | 0x123
		}
		list = append(list, forgedSource(int(at), own))
	}
	return list
}

// TestSlowAimed is row B12: 10,000 REGISTERs whose sources, Call-IDs, branches and users share a place in every table whose hash has no key, sent in turns
// with as many that do not: a message of the one kind costs the edge less than 1.5 times what one of the other costs.
func TestSlowAimed(t *testing.T) {
	slow(t)
	const each, rounds = 10_000, 5
	keys := siptest.Keys{"timers": "{linger: 500ms, drain: 300ms}"}
	for key, value := range judging {
		keys[key] = value
	}
	s := newSiege(t, keys)
	own := s.phone.Addr.Addr().As4()[1]
	from, err := newForger(s.edge.Outside)
	if err != nil {
		t.Fatal(err)
	}
	var costs [2][]time.Duration
	for round := range 2 * rounds {
		aimed := round % 2
		prefix := fmt.Sprintf("r%d-", round)
		ids, branches, users := names(each, prefix, aimed == 1, fnv1a), names(each, prefix, aimed == 1, crc), names(each, prefix, aimed == 1, fnv1a)
		sources := sourcesOf(each, aimed == 1, own)
		time.Sleep(2 * time.Second) // the transactions of the round before are gone
		used, took := s.edge.CPU(), s.edge.Counter("ringwall_transport_packets_in_total")
		for i := range each {
			if err := from.send(sources[i], registerOf(users[i], ids[i], branches[i])); err != nil {
				t.Fatal(err)
			}
			if i%100 == 99 {
				time.Sleep(5 * time.Millisecond)
			}
		}
		time.Sleep(500 * time.Millisecond)
		packets := s.edge.Counter("ringwall_transport_packets_in_total") - took
		if packets < each/2 {
			t.Errorf("round %d: the edge took %.0f packets", round, packets)
		}
		costs[aimed] = append(costs[aimed], (s.edge.CPU()-used)*1000/time.Duration(packets))
	}
	for i := range costs {
		slices.Sort(costs[i])
	}
	any, aimed := costs[0][rounds/2], costs[1][rounds/2]
	t.Logf("processor time of 1,000 packets: %v of any names, %v of aimed ones (%.2f times)", any, aimed, float64(aimed)/float64(any))
	if float64(aimed) > 1.5*float64(any) {
		t.Errorf("aimed packets cost %v, others %v", costs[1], costs[0])
	}
}

// registerOf is a REGISTER of a user.
func registerOf(user, id, branch string) []byte {
	return fmt.Appendf(nil, "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK%s;rport\r\nFrom: <sip:%s@example.com>;tag=%s\r\n"+
		"To: <sip:%[2]s@example.com>\r\nCall-ID: %[3]s\r\nCSeq: 1 REGISTER\r\nContact: <sip:%[2]s@192.0.2.1:5060>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n", branch, user, id)
}
