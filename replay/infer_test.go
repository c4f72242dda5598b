package replay

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/edge"
)

func TestInfer(t *testing.T) {
	addr := func(last byte) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, last}), 5060)
	}
	second := addr(20)
	options := func(n int) string { return request{method: "OPTIONS", id: fmt.Sprint(n), cseq: 1}.String() }
	invite := request{method: "INVITE", uri: "sip:2@example.com", cseq: 1}.String()
	for name, c := range map[string]struct {
		write func(*tape)
		want  string
	}{
		"registrar": {func(c *tape) {
			c.register(phone, "1001", "right", 1, 200)
			c.udp(platform, phone, invite) // and the phone answers
			c.udp(phone, platform, reply(invite, 200, "t"))
		}, "[203.0.113.10/32]"},
		"scan of a network": {func(c *tape) {
			for n := range 50 {
				c.udp(stranger, addr(byte(n)), options(n))
			}
			c.udp(platform, stranger, reply(options(10), 200, "t"))
			c.udp(second, stranger, reply(options(20), 200, "t"))
		}, "[203.0.113.10/32 203.0.113.20/32]"},
		"calls that go on": {func(c *tape) {
			c.udp(stranger, platform, invite)
			c.udp(platform, phone, invite)
			c.udp(phone, platform, reply(invite, 200, "t"))
			c.udp(platform, stranger, reply(invite, 200, "t"))
		}, "[203.0.113.10/32]"},
		"flood without answers": {func(c *tape) {
			for n := range 20 {
				c.udp(netip.AddrPortFrom(stranger.Addr(), uint16(5060+n)), platform, options(n))
			}
		}, "[203.0.113.10/32]"},
		"no SIP": {func(c *tape) { c.udp(stranger, platform, "jaK") }, "[203.0.113.10/32]"},
		"nobody": {func(c *tape) { c.udp(stranger, netip.AddrPortFrom(platform.Addr(), 53), "x") }, "[]"},
	} {
		tape := newTape(t)
		c.write(tape)
		got, err := Infer(bytes.NewReader(tape.bytes()))
		slices.SortFunc(got, netip.Prefix.Compare)
		if fmt.Sprint(got) != c.want || (err != nil) != (c.want == "[]") || err != nil && !errors.Is(err, ErrNoPlatform) {
			t.Errorf("%s: %v, %v; want %s", name, got, err, c.want)
		}
	}
	if _, err := Infer(bytes.NewReader(nil)); !errors.Is(err, ErrEmpty) {
		t.Errorf("nothing: %v", err)
	}
}

const head = "file,origin,kind,class,attacker_or_benign_sources,start_s,end_s,target_user,packets,note\n"

func TestReadLabels(t *testing.T) {
	file := head + `a,live,attack,scan,"198.51.100.7, 198.51.100.0/24",0,1,-,1,"x, y"
b,live,benign,office,many,0,1,-,1,x
c,live,mixed,nat,192.0.2.17:5060,0,1,1030,1,x
a,live,attack,tdos,callee:4930,0,1,4930,1,x
d,live,attack,flood,many,0,1,many,1,x
e,live,odd,flood,many,0,1,many,1,x
f,live,attack,flood,nobody,0,1,many,1,x
`
	for name, want := range map[string]string{
		"/tmp/a.pcap.gz": "[{attack scan [198.51.100.7 198.51.100.0/24] } {attack tdos [] 4930}]",
		"b.pcapng":       "[{benign office [] }]",
		"c":              "[{mixed nat [192.0.2.17:5060] 1030}]",
		"d.pcap":         "[{attack flood [] }]",
		"e":              `line 7: kind "odd": want attack, benign, grey or mixed`,
		"f":              "line 8: ",
		"g.pcap":         "there is no row for g",
	} {
		got, err := ReadLabels(strings.NewReader(file), name)
		text := fmt.Sprint(got)
		if err != nil {
			text = err.Error()
		}
		if text != want && !(err != nil && strings.HasPrefix(text, want)) {
			t.Errorf("%s: %s, want %s", name, text, want)
		}
	}
	for _, bad := range []string{"", "file,kind\n", head + "a,b\n", head + `a,"` + "\n"} {
		if _, err := ReadLabels(strings.NewReader(bad), "a"); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestScore compares a report with labels: an attacker that was stopped, one that was not, one that is not in the capture, and innocents.
func TestScore(t *testing.T) {
	c := newTape(t)
	for i := range 4 {
		q := request{method: "INVITE", uri: "sip:100@203.0.113.10", id: fmt.Sprint("scan", i), cseq: i}.String()
		if i > 0 {
			q = strings.Replace(q, "ExamplePhone 4.0", "friendly-scanner", 1)
		}
		c.udp(stranger, platform, q)
	}
	missed := netip.MustParseAddrPort("198.51.100.8:5060")
	c.udp(missed, platform, request{method: "INVITE", id: "missed", cseq: 1}.String())
	c.register(phone, "1001", "right", 1, 200)
	r := c.run()
	label := Label{Kind: "attack", Class: "scan"}
	for _, text := range []string{"198.51.100.7", "198.51.100.8", "198.51.100.9"} {
		s, err := edge.ParseSource(text)
		if err != nil {
			t.Fatal(err)
		}
		label.Attackers = append(label.Attackers, s)
	}
	r.Score([]Label{label, {Kind: "benign", Class: "office"}})
	got := fmt.Sprintf("%+v recall %v precision %v", r.Labels[0], *r.Labels[0].Recall, *r.Labels[0].Precision)
	for _, want := range []string{"Attackers:2 Found:1 Banned:1 ", "Through:{Median:1 Most:1}", "Time:{Median:0.001 Most:0.001}", "Missed:[198.51.100.8]",
		"Innocent:[] Touched:0", "recall 0.5 precision 1"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
	if s := r.Labels[1]; s.Recall != nil || len(s.Innocent) != 1 || s.Innocent[0] != "198.51.100.7" || s.Touched != 1 || *s.Precision != 0 {
		t.Errorf("all of them innocent: %+v", s)
	}
}
