package media

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

const someSDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"

// swept is a call that was answered at start, on a relay of its own, and what was told of it.
func swept(t *testing.T, direction string) (c *Calls, start time.Time, told *[]edge.Event) {
	t.Helper()
	relay, err := NewRelay(RelayConfig{Outside: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Inside: []netip.Addr{netip.MustParseAddr("127.0.0.1")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(relay.Close)
	told, start = new([]edge.Event), time.Unix(1_800_000_000, 0)
	cfg := DefaultCallsConfig()
	cfg.Tell = func(e edge.Event) { *told = append(*told, e) }
	c = (&BuiltIn{Relay: relay, Near: func(edge.Flow) netip.Addr { return netip.Addr{} }}).NewCalls(cfg)
	out := Party{Flow: edge.Flow{Remote: netip.MustParseAddrPort("127.0.0.2:5060")}}
	in := Party{Flow: edge.Flow{Remote: netip.MustParseAddrPort("127.0.0.3:5060"), Side: edge.Inside}, Trust: edge.Peer, Proven: true}
	sdp := []byte(someSDP + "a=" + direction + "\r\n")
	if _, err := c.Request(nil, &Message{At: start, Key: 1, Method: sip.INVITE, Parties: [Ends]Party{out, in}, SDP: sdp}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Response(nil, &Message{At: start, Key: 1, Dialog: 7, Method: sip.INVITE, Status: 200, Replier: in, SDP: sdp}); err != nil {
		t.Fatal(err)
	}
	c.Over(1, 200)
	return c, start, told
}

// sweepTo sweeps every second from one time to another.
func sweepTo(c *Calls, from, to time.Time) {
	for ; from.Before(to); from = from.Add(time.Second) {
		c.Sweep(from)
	}
}

// TestSetSilence: another length of silence holds at once, for calls that go on, too.
func TestSetSilence(t *testing.T) {
	c, start, told := swept(t, "sendrecv")
	c.SetSilence(Quiet{})
	sweepTo(c, start, start.Add(2*time.Minute))
	if len(*told) != 0 {
		t.Fatalf("told %v although nothing was to be", *told)
	}
	c.SetSilence(Quiet{After: 10 * time.Second, End: true})
	sweepTo(c, start.Add(2*time.Minute), start.Add(2*time.Minute+10*time.Second))
	if len(*told) == 0 || (*told)[0].Reason != ReasonSilent || !c.Ends() {
		t.Errorf("told %v", *told)
	}
}

// TestSilenceIsTold: both ends should send and none does: each is told of once (F23), and the call is freed in the end.
func TestSilenceIsTold(t *testing.T) {
	c, start, told := swept(t, "sendrecv")
	sweepTo(c, start, start.Add(50*time.Second))
	if len(*told) != 0 {
		t.Fatalf("told too early: %v", *told)
	}
	sweepTo(c, start.Add(50*time.Second), start.Add(4*time.Minute))
	if len(*told) != 2 || (*told)[0].Reason != ReasonSilent || !c.List()[0].Silent[Caller] || !c.List()[0].Silent[Callee] {
		t.Fatalf("told %v", *told)
	}
	sweepTo(c, start.Add(4*time.Minute), start.Add(6*time.Minute))
	if len(*told) != 4 || (*told)[2].Reason != ReasonLost || (*told)[3].Name != eventCall || c.Len() != 0 {
		t.Errorf("told %v, %d calls left", *told, c.Len())
	}
}

// TestHeldCallsStay: a call on hold is silent for as long as it likes, and freed when nothing was heard of it for four hours.
func TestHeldCallsStay(t *testing.T) {
	c, start, told := swept(t, "inactive")
	sweepTo(c, start, start.Add(3*time.Hour))
	if len(*told) != 0 || c.Len() != 1 {
		t.Fatalf("told %v, %d calls", *told, c.Len())
	}
	sweepTo(c, start.Add(3*time.Hour), start.Add(4*time.Hour+10*time.Second))
	if c.Len() != 0 {
		t.Error("it is never freed")
	}
}

// TestCallsAreBounded: more calls than there may be are refused, strangers' first.
func TestCallsAreBounded(t *testing.T) {
	c, start, _ := swept(t, "sendrecv")
	c.cfg.Calls, c.cfg.Strangers = 4, 2
	invite := func(key uint64, trust edge.Trust) error {
		p := Party{Flow: edge.Flow{Remote: netip.MustParseAddrPort("127.0.0.2:5060")}, Trust: trust}
		_, err := c.Request(nil, &Message{At: start, Key: key, Method: sip.INVITE, Parties: [Ends]Party{p, {Flow: edge.Flow{Side: edge.Inside, Remote: p.Flow.Remote}}}})
		return err
	}
	for i, want := range []error{nil, nil, ErrShare} {
		if err := invite(uint64(10+i), edge.Unknown); err != want {
			t.Errorf("stranger %d: %v, want %v", i, err, want)
		}
	}
	if err := invite(20, edge.Known); err != nil {
		t.Errorf("a known phone: %v", err)
	}
	if err := invite(21, edge.Known); err != ErrCalls {
		t.Errorf("one too many: %v", err)
	}
	c.Over(10, 486)
	if err := invite(22, edge.Unknown); err != nil {
		t.Errorf("after one ended: %v", err)
	}
}
