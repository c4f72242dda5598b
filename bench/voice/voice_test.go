package voice

import (
	"bytes"
	"context"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/bench/batch"
	"github.com/ringwall/ringwall/media"
)

// through opens a generator whose n streams go through a relay of this process.
func through(t *testing.T, n int) *Generator {
	t.Helper()
	g, err := New(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	r, err := media.NewRelay(media.RelayConfig{Outside: []netip.Addr{netip.MustParseAddr("127.0.11.1")}, Inside: []netip.Addr{netip.MustParseAddr("127.0.11.2")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	for i := range n {
		a, b := g.Ends(i)
		var out bytes.Buffer
		if err := serve(r, a.String()+" "+b.String(), &out); err != nil {
			t.Fatal(err)
		}
		toA, toB, _ := strings.Cut(strings.TrimSpace(out.String()), " ")
		g.Aim(i, netip.MustParseAddrPort(toA), netip.MustParseAddrPort(toB))
	}
	return g
}

func TestVoice(t *testing.T) {
	g := through(t, 20)
	for range 2 { // the second run's packets are not taken for the first one's
		r, err := g.Run(context.Background(), 1000)
		if err == nil {
			r, err = g.Settle(r, 0)
		}
		if err != nil || r.Valid() != nil || r.Started != 1000 || r.Completed != 1000 || r.P50Micros <= 0 || r.PerSecond < 100 {
			t.Errorf("%+v %v", r, err)
		}
	}
}

// What is lost, comes twice, from elsewhere, altered or to the wrong end is noticed.
func TestFaultsAreNoticed(t *testing.T) {
	g, err := New(2)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	relay := netip.MustParseAddrPort("127.0.11.1:4000")
	g.Aim(0, relay, relay)
	g.Aim(1, relay, relay)
	for name, c := range map[string]struct {
		change func(p *batch.Packet)
		side   int
		faults int
	}{
		"right":           {func(*batch.Packet) {}, 1, 0},
		"the sender":      {func(*batch.Packet) {}, 0, 1},
		"from elsewhere":  {func(p *batch.Packet) { p.From = netip.MustParseAddrPort("127.0.11.1:4002") }, 1, 1},
		"another stream":  {func(p *batch.Packet) { p.To = g.sides[1].address(1) }, 1, 1},
		"cut":             {func(p *batch.Packet) { p.Data = p.Data[:100] }, 1, 1},
		"altered payload": {func(p *batch.Packet) { p.Data[171]++ }, 1, 1},
		"altered header":  {func(p *batch.Packet) { p.Data[1] = 8 }, 1, 1},
	} {
		g.report.Faults, g.report.Completed, g.got = 0, 0, make([]bool, 4)
		b := g.packet
		p := batch.Packet{Data: g.fill(&b, 0, 0), From: relay, To: g.sides[1].address(0)}
		c.change(&p)
		g.check(c.side, p, 1)
		if g.report.Faults != c.faults || g.report.Completed != 1-c.faults {
			t.Errorf("%s: %d faults, %d complete", name, g.report.Faults, g.report.Completed)
		}
		if c.faults == 0 {
			if g.check(c.side, p, 1); g.report.Repeated != 1 {
				t.Errorf("%s: a copy was not noticed", name)
			}
		}
	}
	if r, err := g.Run(context.Background(), 20); err != nil || r.Valid() == nil {
		t.Errorf("nobody relays, and the run is valid: %+v %v", r, err)
	}
}

func TestServeTellsWhatIsWrong(t *testing.T) {
	r, err := media.NewRelay(media.RelayConfig{Outside: []netip.Addr{netip.MustParseAddr("127.0.11.1")}, Inside: []netip.Addr{netip.MustParseAddr("127.0.11.2")}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, line := range []string{"nonsense\n", "127.0.0.1:1 nonsense\n"} {
		if err := Serve(context.Background(), r, strings.NewReader(line), io.Discard); err == nil {
			t.Errorf("%q was taken", line)
		}
	}
	if _, err := New(0); err == nil {
		t.Error("a generator of no streams")
	}
}
