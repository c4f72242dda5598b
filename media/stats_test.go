package media

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/ringwall/ringwall/sip"
)

func TestFlow(t *testing.T) {
	type packet struct {
		seq  uint16
		ssrc uint32
	}
	run := func(first uint16, ssrc uint32, n int) (all []packet) {
		for i := range n {
			all = append(all, packet{first + uint16(i), ssrc})
		}
		return all
	}
	join := func(parts ...[]packet) (all []packet) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	for name, c := range map[string]struct {
		packets []packet
		lost    uint64
	}{
		"none":               {nil, 0},
		"in order":           {run(10, 1, 100), 0},
		"around the end":     {run(65500, 1, 200), 0},
		"twice around":       {run(0, 1, 140_000), 0},
		"a gap":              {join(run(0, 1, 10), run(15, 1, 10)), 5},
		"a gap at the end":   {join(run(65530, 1, 3), run(2, 1, 10)), 5},
		"reordered":          {[]packet{{1, 1}, {3, 1}, {2, 1}, {4, 1}}, 0},
		"reordered around":   {[]packet{{65534, 1}, {0, 1}, {65535, 1}, {1, 1}}, 0},
		"copies":             {[]packet{{1, 1}, {1, 1}, {2, 1}, {3, 1}}, 0},
		"another source":     {join(run(0, 1, 10), run(15, 1, 1), run(900, 2, 10)), 5},
		"begun anew":         {join(run(20_000, 1, 10), run(5, 1, 10)), 0},
		"a gap in each":      {join(run(0, 1, 1), run(3, 1, 1), run(0, 2, 1), run(2, 2, 1)), 3},
		"jump, then go on":   {join(run(0, 1, 10), run(40_000, 1, 10)), 0},
		"late from long ago": {join(run(200, 1, 10), []packet{{150, 1}}), 0},
	} {
		var f flow
		b := make([]byte, rtpHeader)
		for i, p := range c.packets {
			binary.BigEndian.PutUint16(b[2:], p.seq)
			binary.BigEndian.PutUint32(b[8:], p.ssrc)
			f.add(b, uint32(i))
		}
		if f.lost() != c.lost {
			t.Errorf("%s: %d lost, want %d", name, f.lost(), c.lost)
		}
	}
}

// Packets that come as evenly as they were made have no jitter; every second one 10 ms late tends to 10 ms (RFC 3550 §A.8).
func TestJitter(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, late := range []time.Duration{0, 10 * time.Millisecond} {
		var f flow
		b := make([]byte, rtpHeader)
		for i := range 500 {
			at := start.Add(time.Duration(i) * 20 * time.Millisecond)
			if i%2 == 1 {
				at = at.Add(late)
			}
			binary.BigEndian.PutUint16(b[2:], uint16(i))
			binary.BigEndian.PutUint32(b[4:], uint32(0xffffff00+i*160)) // around the end
			f.add(b, ticks(at, 8000))
		}
		if got := f.jitterTime(8000); got < late-time.Millisecond || got > late+time.Millisecond {
			t.Errorf("jitter %v, want %v", got, late)
		}
	}
}

// Silence is told per direction, by accepted packets alone (F23): who is refused does not keep a call alive.
// TestCallIsAccounted: what flowed in a call that was answered is told when it is over, for each media line; of others there is nothing to tell.
func TestCallIsAccounted(t *testing.T) {
	k := newTalk(t, nil)
	k.pass(3, k.near, k.far)
	k.pass(2, k.near, k.stranger)
	k.stranger.send(k.stream().Port(Caller), []byte("x"))
	settled(t, k.stream(), Caller, 8)
	k.asks(900, theDialog, sip.BYE, Caller, nil)
	k.calls.Over(900, 200)
	if len(k.told) != 1 {
		t.Fatalf("told %v", k.told)
	}
	const want = "audio: caller packets=5 bytes=65 lost=0 jitter=223.0ms refused=3; callee packets=3 bytes=39 lost=0 jitter=118.7ms refused=0"
	if e := k.told[0]; e.Name != eventCall || e.Reason != "" || e.Detail != want || e.Message != "a call of  to  is over after 5s" {
		t.Errorf("told %+v", e)
	}
	early := newEarly(t)
	early.calls.Over(early.key, 486)
	if len(early.told) != 0 {
		t.Errorf("told %v", early.told)
	}
}

func TestSilence(t *testing.T) {
	now := newClock()
	r := newRelay(t, func(c *RelayConfig) { c.Now = now.Now })
	c := newCall(t, r, nil)
	openStream(t, r, fromOutside) // nothing is expected of it
	silent := func() (ends []End) {
		for _, s := range r.Silent(nil, now.Now(), 30*time.Second) {
			if s.Stream != c.Stream {
				t.Errorf("silence of %v", s)
			}
			ends = append(ends, s.From)
		}
		return ends
	}
	now.advance(29 * time.Second)
	if got := silent(); got != nil {
		t.Errorf("after 29 s silent: %v", got)
	}
	c.both(t)
	now.advance(29 * time.Second)
	c.phone.talk(c.Port(Caller), "still here")
	c.platform.hears(c.Port(Callee), "still here")
	thief := newPhone(t, stranger)
	for _, e := range []End{Caller, Callee} {
		thief.talk(c.Port(e), "keep it alive")
	}
	settled(t, c.Stream, Callee, 2)
	now.advance(2 * time.Second)
	if got := silent(); len(got) != 1 || got[0] != Callee {
		t.Errorf("silent: %v, want the callee", got)
	}
	if got := r.Silent(nil, now.Now(), 30*time.Second); !got[0].Since.Equal(now.Now().Add(-31 * time.Second)) {
		t.Errorf("since %v", got[0].Since)
	}
	now.advance(time.Minute)
	if got := silent(); len(got) != 2 {
		t.Errorf("silent: %v, want both", got)
	}
	c.Expect(Caller, Remote{})
	if got := silent(); len(got) != 1 {
		t.Errorf("on hold, silent: %v", got)
	}
}
