package media

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ringwall/ringwall/edge"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRelay(t *testing.T) {
	for _, loops := range []int{1, 3} {
		r := newRelay(t, func(c *RelayConfig) { c.Loops, c.Coalesce = loops, time.Millisecond })
		for range 5 {
			c := newCall(t, r, nil)
			if c.Port(Caller).Port()%2 != 0 || c.Port(Callee).Port()%2 != 0 {
				t.Errorf("RTP ports %v %v: want even ones", c.Port(Caller), c.Port(Callee))
			}
			for range 10 {
				c.both(t)
			}
			st := c.Stats(Caller)
			if st.Packets != 10 || st.Sent != 10 || st.Bytes != 10*(rtpHeader+14) || st.Source != c.phone.addr() || st.Sending != c.phone.addr() || st.Lost != 0 {
				t.Errorf("figures %+v", st)
			}
		}
	}
}

func TestRelayIPv6(t *testing.T) {
	six := netip.MustParseAddr("::1")
	r := newRelay(t, func(c *RelayConfig) { c.Outside, c.Inside = []netip.Addr{outsideAddr, six}, []netip.Addr{insideAddr} })
	spec := fromOutside
	spec.Ends[Caller].IPv6 = true
	s := openStream(t, r, spec)
	p, platform := newPhone(t, six), newPhone(t, platformAddr)
	s.Expect(Caller, Remote{RTP: p.addr(), Signalling: six})
	s.Expect(Callee, Remote{RTP: platform.addr(), Trusted: true})
	p.talk(s.Port(Caller), "six to four")
	platform.hears(s.Port(Callee), "six to four")
	platform.talk(s.Port(Callee), "four to six")
	p.hears(s.Port(Caller), "four to six")
	if _, err := r.Open(Spec{Ends: [Ends]Place{{Side: edge.Inside, IPv6: true}, {}}}); !errors.Is(err, ErrAddress) {
		t.Errorf("inside has no IPv6: %v", err)
	}
}

// TestWordsOfRTCP: audit row F20. What the platform says of itself in RTCP does not leave, on whichever port it comes; what a phone says gets to the platform.
func TestWordsOfRTCP(t *testing.T) {
	r := newRelay(t, nil)
	cname := rtcpPacket(1, 202, source, item(1, mark))
	for _, mux := range []bool{false, true} {
		c := newCall(t, r, func(m *Remote) { m.Mux, m.Proven = mux, true })
		c.Expect(Callee, Remote{RTP: c.platform.addr(), Mux: mux, Trusted: true})
		c.both(t)
		c.platform.send(c.Port(Callee), cname)
		hidden, _ := c.phone.read()
		if len(hidden) != len(cname) || string(hidden) == string(cname) || strings.Contains(string(hidden), mark) {
			t.Errorf("mux %v: the phone got %q", mux, hidden)
		}
		c.platform.send(c.Port(Callee), cname)
		if again, _ := c.phone.read(); string(again) != string(hidden) {
			t.Errorf("mux %v: the platform is %q, then %q", mux, hidden, again)
		}
		c.phone.send(c.Port(Caller), cname)
		if b, _ := c.platform.read(); string(b) != string(cname) {
			t.Errorf("mux %v: the platform got %q", mux, b)
		}
	}
}

// RTCP goes to the port that each end wants it on: the next one, another one, or the same one.
func TestRTCP(t *testing.T) {
	report := []byte{0x80, 201, 0, 1, 0, 0, 0, 1}
	r := newRelay(t, nil)
	for _, callerMux := range []bool{false, true} {
		for _, calleeMux := range []bool{false, true} {
			t.Run(fmt.Sprintf("caller mux %v, callee mux %v", callerMux, calleeMux), func(t *testing.T) {
				c := newCall(t, r, func(m *Remote) { m.Mux, m.Proven = callerMux, true })
				control, platformControl := newPhone(t, phoneAddr), newPhone(t, platformAddr)
				caller, callee := next(c.Port(Caller)), next(c.Port(Callee))
				remote := Remote{RTP: c.platform.addr(), RTCP: platformControl.addr(), Mux: calleeMux, Trusted: true}
				if callerMux {
					control, caller = c.phone, c.Port(Caller)
				}
				if calleeMux {
					platformControl, callee = c.platform, c.Port(Callee)
				}
				c.Expect(Callee, remote)
				c.both(t)
				control.send(caller, report)
				if b, from := platformControl.read(); string(b) != string(report) || from != callee {
					t.Errorf("the platform got %x from %v, want it from %v", b, from, callee)
				}
				platformControl.send(callee, report)
				if b, from := control.read(); string(b) != string(report) || from != caller {
					t.Errorf("the phone got %x from %v, want it from %v", b, from, caller)
				}
				if st := c.Stats(Caller); st.RTCP != 1 || st.Packets != 1 {
					t.Errorf("%+v", st)
				}
			})
		}
	}
}

// A NAT's port for RTCP follows that for RTP.
func TestRTCPBehindNAT(t *testing.T) {
	report := []byte{0x80, 201, 0, 1, 0, 0, 0, 1}
	c := newCall(t, newRelay(t, nil), func(m *Remote) {
		m.RTP, m.RTCP = netip.MustParseAddrPort("192.168.1.5:4000"), netip.MustParseAddrPort("192.168.1.5:4001")
	})
	platformControl := newPhoneAt(t, next(c.platform.addr()))
	platformControl.send(next(c.Port(Callee)), report)
	settled(t, c.Stream, Callee, 1)
	c.both(t)
	control := newPhone(t, phoneAddr)
	control.send(next(c.Port(Caller)), report)
	platformControl.read()
	platformControl.send(next(c.Port(Callee)), report)
	control.read()
	second := newPhone(t, phoneAddr)
	second.send(next(c.Port(Caller)), report)
	settled(t, c.Stream, Caller, 3)
	moved := newPhone(t, phoneAddr)
	moved.ssrc, moved.seq = c.phone.ssrc, c.phone.seq
	moved.talk(c.Port(Caller), "moved")
	c.platform.hears(c.Port(Callee), "moved")
	second.send(next(c.Port(Caller)), report)
	platformControl.read()
	if st := c.Stats(Caller); st.RTCP != 2 || st.Refused[RefusedSource] != 1 {
		t.Errorf("%+v", st)
	}
}

// Whatever is protected or unknown passes byte for byte; nothing of it ends anything (ES2021-09, ES2023-01).
func TestUntouched(t *testing.T) {
	r := newRelay(t, nil)
	dtlsHello := append([]byte{22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5}, "hello"...)
	zrtpHello := append([]byte{16, 0, 0, 1, 'Z', 'R', 'T', 'P', 0, 0, 0, 1}, "hello"...)
	c := newCall(t, r, nil)
	for _, b := range [][]byte{dtlsHello, zrtpHello, c.phone.packet(strings.Repeat("\xa5", 1400))} {
		c.phone.send(c.Port(Caller), b)
		if got, _ := c.platform.read(); string(got) != string(b) {
			t.Errorf("got %x, want %x", got, b)
		}
	}
	for range 150 {
		c.phone.send(c.Port(Caller), []byte("not media"))
	}
	c.both(t)

	fax := fromOutside
	fax.Opaque = true
	s := openStream(t, r, fax)
	a, b := newPhone(t, phoneAddr), newPhone(t, platformAddr)
	s.Expect(Caller, Remote{RTP: a.addr(), Signalling: phoneAddr})
	s.Expect(Callee, Remote{RTP: b.addr(), Trusted: true})
	for _, packet := range []string{"", "\x00\x01T.38", "BFCP", "\x00\x01\x00\x00\x21\x12\xa4\x42"} {
		a.send(s.Port(Caller), []byte(packet))
		if got, _ := b.read(); string(got) != packet {
			t.Errorf("got %x, want %x", got, packet)
		}
	}
	newPhone(t, stranger).send(s.Port(Caller), []byte("fax of a stranger"))
	if st := settled(t, s, Caller, 5); st.Packets != 4 {
		t.Errorf("%+v", st)
	}
	b.deaf()
}

// An end is held to its rate: who floods his own call is heard as often as agreed on.
func TestRate(t *testing.T) {
	now := newClock()
	c := newCall(t, newRelay(t, func(c *RelayConfig) { c.Now = now.Now }), func(m *Remote) { m.Rate = 100 })
	for range 200 {
		c.phone.talk(c.Port(Caller), "flood")
	}
	if st := settled(t, c.Stream, Caller, 200); st.Packets != 100 || st.Refused[RefusedRate] != 100 {
		t.Errorf("%+v", st)
	}
	now.advance(100 * time.Millisecond)
	for range 20 {
		c.phone.talk(c.Port(Caller), "on")
	}
	if st := settled(t, c.Stream, Caller, 220); st.Packets != 110 {
		t.Errorf("%+v", st)
	}
}

// A packet of any size passes.
func TestLargest(t *testing.T) {
	c := newCall(t, newRelay(t, nil), nil)
	b := c.phone.packet(strings.Repeat("x", 65507-rtpHeader))
	c.phone.send(c.Port(Caller), b)
	if got, _ := c.platform.read(); string(got) != string(b) {
		t.Errorf("got %d bytes of %d", len(got), len(b))
	}
}

// A stream goes on in another relay on the same ports, as after a crash: each end hears the other at once.
func TestRestore(t *testing.T) {
	first := newRelay(t, nil)
	c := newCall(t, first, nil)
	c.both(t)
	_, pwd := c.OfferICE(Callee, false)
	b, err := json.Marshal(c.State())
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	var st State
	if err := json.Unmarshal(b, &st); err != nil {
		t.Fatal(err)
	}
	second := newRelay(t, nil)
	s, err := second.Restore(st)
	if err != nil {
		t.Fatal(err)
	}
	if s.Port(Caller) != c.Port(Caller) || s.Port(Callee) != c.Port(Callee) || s.State() != st {
		t.Errorf("restored %+v, want %+v", s.State(), st)
	}
	if _, again := s.OfferICE(Callee, false); again != pwd {
		t.Error("other ICE credentials")
	}
	c.platform.talk(c.Port(Callee), "still there?")
	c.phone.hears(c.Port(Caller), "still there?")
	c.phone.talk(c.Port(Caller), "yes")
	c.platform.hears(c.Port(Callee), "yes")
	if _, err := second.Restore(st); !errors.Is(err, ErrNoPorts) {
		t.Errorf("the same ports twice: %v", err)
	}
	if _, err := second.Restore(State{}); err == nil {
		t.Error("a state without ports was restored")
	}
}

// Streams come and go while others talk; late packets of one never come out of another, and nothing is left over.
func TestOpenAndCloseUnderTraffic(t *testing.T) {
	r := newRelay(t, func(c *RelayConfig) { c.First, c.Last, c.Quarantine, c.Loops = 32000, 32199, -1, 2 })
	steady := newCall(t, r, nil)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			p := newPhone(t, phoneAddr)
			for range 100 {
				s, err := r.Open(fromOutside)
				if err != nil {
					continue // a port whose old socket is not closed yet
				}
				s.Expect(Caller, Remote{RTP: p.addr(), Signalling: phoneAddr, Proven: true})
				s.Expect(Callee, Remote{RTP: p.addr(), Trusted: true})
				for range 3 {
					p.talk(s.Port(Caller), "short")
				}
				s.Stats(Caller)
				s.Close()
			}
		})
	}
	for range 200 {
		steady.both(t)
	}
	all.Wait()
	if n := r.Streams(); n != 1 {
		t.Errorf("%d streams left", n)
	}
	if st := steady.Stats(Caller); st.Packets != 200 || st.Sent != 200 {
		t.Errorf("%+v", st)
	}
	free(t, r, 99)
	if n := r.Panics(); n != 0 {
		t.Errorf("%d panics", n)
	}
}

// While the loop waits for packets the scheduler can stop all goroutines at any moment, as the garbage collector does.
func TestCollectorDoesNotWait(t *testing.T) {
	c := newCall(t, newRelay(t, nil), nil)
	for range 50 {
		c.both(t)
		runtime.GC()
	}
}

func TestClosedRelay(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	r := newRelay(t, func(c *RelayConfig) { c.Loops = 2 })
	s := openStream(t, r, fromOutside)
	r.Close()
	r.Close()
	if _, err := r.Open(fromOutside); !errors.Is(err, ErrClosed) {
		t.Errorf("opened: %v", err)
	}
	s.Close()
	if n := runtime.GOMAXPROCS(0); n != before {
		t.Errorf("GOMAXPROCS is %d, was %d", n, before)
	}
}

func TestConfig(t *testing.T) {
	good := RelayConfig{Outside: []netip.Addr{outsideAddr}, Inside: []netip.Addr{insideAddr}}
	for name, change := range map[string]func(*RelayConfig){
		"no outside":       func(c *RelayConfig) { c.Outside = nil },
		"no inside":        func(c *RelayConfig) { c.Inside = nil },
		"wildcard":         func(c *RelayConfig) { c.Outside = []netip.Addr{netip.IPv4Unspecified()} },
		"multicast":        func(c *RelayConfig) { c.Inside = []netip.Addr{netip.MustParseAddr("224.0.0.1")} },
		"range reversed":   func(c *RelayConfig) { c.First, c.Last = 4000, 3000 },
		"privileged ports": func(c *RelayConfig) { c.First, c.Last = 500, 3000 },
		"no streams":       func(c *RelayConfig) { c.Streams = -1 },
		"nap too long":     func(c *RelayConfig) { c.Coalesce = time.Second },
	} {
		c := good
		change(&c)
		if r, err := NewRelay(c); err == nil {
			r.Close()
			t.Errorf("%s: accepted", name)
		}
	}
}
