package e2e

import (
	"context"
	"net/netip"
	"testing"

	"github.com/ringwall/ringwall/bench/voice"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/media"
)

// TestVoice: 500 calls talk both ways at 50 packets a second through the media relay, and not one packet is lost, comes twice or altered.
func TestVoice(t *testing.T) { voices(t, 500, 3) }

// TestSlowVoice is TestVoice for a minute: 3,000,000 packets.
func TestSlowVoice(t *testing.T) {
	slow(t)
	voices(t, 500, 60)
}

// voices has calls talk for some seconds.
func voices(t *testing.T, calls, seconds int) {
	r, err := media.NewRelay(media.RelayConfig{Outside: []netip.Addr{netip.MustParseAddr("127.0.12.1")}, Inside: []netip.Addr{netip.MustParseAddr("127.0.12.2")}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	g, err := voice.New(calls)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	g.Window = 4000 // a machine that is busy with other things talks slower, rather than that its buffers overflow
	var streams []*media.Stream
	for i := range calls {
		s, err := r.Open(media.Spec{Ends: [media.Ends]media.Place{{Side: edge.Outside}, {Side: edge.Inside}}})
		if err != nil {
			t.Fatal(err)
		}
		a, b := g.Ends(i)
		s.Expect(media.Caller, media.Remote{RTP: a, Signalling: a.Addr(), Proven: true})
		s.Expect(media.Callee, media.Remote{RTP: b, Trusted: true})
		g.Aim(i, s.Port(media.Caller), s.Port(media.Callee))
		streams = append(streams, s)
	}
	report, err := g.Run(context.Background(), calls*seconds*100)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d packets in %.1f s, on their way for %.0f us, 1 in 100 for more than %.0f us", report.Completed, report.Seconds, report.P50Micros, report.P99Micros)
	if err := report.Valid(); err != nil {
		t.Errorf("%v %v", err, report.Examples)
	}
	for _, s := range streams {
		for _, e := range []media.End{media.Caller, media.Callee} {
			if st := s.Stats(e); st.Packets != uint64(50*seconds) || st.Lost != 0 || st.Failed != 0 || st.Waited != 0 {
				t.Fatalf("%+v", st)
			}
		}
	}
}
