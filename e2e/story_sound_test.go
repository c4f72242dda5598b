package e2e

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// tone is a frequency, Hz, that a codec of telephony leaves as it is.
const tone = 1100

// newSinger is a phone that plays the tone in every call.
func newSinger(t *testing.T, user string) *baresip {
	t.Helper()
	p := newBaresipWith(t, user, "aufile,$DIR/in.wav", "aubridge,nobody")
	sound(t, filepath.Join(p.dir, "in.wav"), func(i int) int16 { return int16(8000 * math.Sin(2*math.Pi*tone*float64(i)/soundRate)) })
	return p
}

// newParrot is a phone that says what it hears.
func newParrot(t *testing.T, user string) *baresip {
	t.Helper()
	return newBaresipWith(t, user, "aubridge,loop", "aubridge,loop")
}

// goertzel is the power of one frequency in samples, as a part of all their power: 1 for a pure tone.
func goertzel(samples []int16, frequency float64) float64 {
	coefficient := 2 * math.Cos(2*math.Pi*frequency/soundRate)
	var s1, s2, all float64
	for _, v := range samples {
		s1, s2 = float64(v)+coefficient*s1-s2, s1
		all += float64(v) * float64(v)
	}
	if all == 0 {
		return 0
	}
	return 2 * (s1*s1 + s2*s2 - coefficient*s1*s2) / (all * float64(len(samples)))
}

// hearing is for how long the tone was nearly all that a phone heard in its last call, as it wrote it down.
func (p *baresip) hearing() (heard time.Duration) {
	p.t.Helper()
	files, _ := filepath.Glob(filepath.Join(p.dir, "*-dec.wav"))
	if len(files) == 0 {
		return 0
	}
	b, err := os.ReadFile(files[len(files)-1])
	if err != nil {
		p.t.Fatal(err)
	}
	const window = soundRate / 20
	samples := make([]int16, 0, len(b)/2)
	for b = b[min(44, len(b)):]; len(b) >= 2; b = b[2:] {
		samples = append(samples, int16(binary.LittleEndian.Uint16(b)))
	}
	for ; len(samples) >= window; samples = samples[window:] {
		if goertzel(samples[:window], tone) > 0.9 {
			heard += time.Second / 20
		}
	}
	return heard
}

// hears wants p to have heard the tone for so long at least.
func (p *baresip) hears(least time.Duration) {
	p.t.Helper()
	var heard time.Duration
	if !siptest.Eventually(func() bool { heard = p.hearing(); return heard >= least }) {
		p.t.Errorf("%s heard the tone for %v, want %v", p.user, heard, least)
	}
}

// stream is what `ringwall calls` tells of one end of a media line.
type stream struct {
	Kind, From, Side, Locked string
	Packets, Sent            uint64
	Refused                  map[string]uint64
	Silent                   bool
}

// relayedCall is what it tells of a call.
type relayedCall struct {
	State   string
	CallID  string `json:"call_id"`
	Other   string `json:"other_call_id"`
	Streams []stream
}

// relayedCalls asks e for its calls.
func relayedCalls(t *testing.T, e *siptest.Edge) (all []relayedCall) {
	t.Helper()
	out, err := exec.Command(siptest.Binary(t), "calls", "-o", "json", "--state", e.State).CombinedOutput()
	if err == nil {
		err = json.Unmarshal(out, &all)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return all
}

// flowing waits until media has gone on both ways in each of n calls.
func flowing(t *testing.T, e *siptest.Edge, n int) {
	t.Helper()
	goesOn(t, e, n, func(was, is stream) bool { return is.Packets >= was.Packets+10 && is.Sent >= was.Sent+10 })
}

// flowingOneWay is flowing where one of the two phones says nothing: a parrot loses its voice when it is held.
func flowingOneWay(t *testing.T, e *siptest.Edge, n int) {
	t.Helper()
	goesOn(t, e, n, func(was, is stream) bool { return is.Packets+is.Sent >= was.Packets+was.Sent+10 })
}

// goesOn waits until enough says of all streams of n calls that they have gone on.
func goesOn(t *testing.T, e *siptest.Edge, n int, enough func(was, is stream) bool) {
	t.Helper()
	var first, all []relayedCall
	if !siptest.Eventually(func() bool {
		if all = relayedCalls(t, e); len(all) != n {
			return false
		}
		if len(first) != n {
			first = all
		}
		for i, c := range all {
			for j, s := range c.Streams {
				if j >= len(first[i].Streams) || !enough(first[i].Streams[j], s) {
					return false
				}
			}
		}
		return true
	}) {
		t.Fatalf("media does not flow in %d calls: %+v", n, all)
	}
}

// freed waits until no call has media any more.
func freed(t *testing.T, e *siptest.Edge) {
	t.Helper()
	if !siptest.Eventually(func() bool { return len(relayedCalls(t, e)) == 0 && e.Counter("ringwall_media_streams") == 0 }) {
		t.Errorf("after the last call: %+v", relayedCalls(t, e))
	}
}

// TestSound lets two real phones talk, through the demonstration platform and through Kamailio: the tone that goes in at one comes out at the
// other, and back, plain and encrypted, also after hold.
func TestSound(t *testing.T) {
	siptest.NeedTool(t, "baresip")
	for _, platform := range []string{"demo", "kamailio"} {
		for _, media := range []string{"plain", "srtp"} {
			t.Run(platform+" "+media, func(t *testing.T) {
				t.Parallel()
				alice, bob, e := talkers(t, platform, media)
				alice.connect(bob)
				flowing(t, e, 2) // it passes twice
				bob.hears(time.Second)
				alice.hangup(bob)
				alice.hears(50 * time.Millisecond) // what bob says after her: nothing takes it off the loudspeaker after that
				alice.connect(bob)
				flowing(t, e, 2)
				alice.do("hold", "")
				bob.told("offer")
				alice.do("resume", "")
				bob.told("offer")
				flowingOneWay(t, e, 2)
				alice.hangup(bob)
				freed(t, e)
				unsuspected(t, e)
			})
		}
	}
}

// anywhere accepts media from any source. baresip sends it from 127.0.0.1 whatever address it listens at, if all is on one machine.
var anywhere = siptest.Keys{"media": "{relay: builtin, ports: 40000-49999, latch: any}"}

// talkers are two phones at a platform behind an edge that relays media.
func talkers(t *testing.T, platform, media string) (alice, bob *baresip, e *siptest.Edge) {
	t.Helper()
	account := func(p *baresip) string { return promised(t, e, p.user, "udp") + ";answermode=auto;regint=60" }
	if platform == "kamailio" {
		k := newKamailio(t)
		e = siptest.StartEdge(t, siptest.Outlets{Upstream: []string{k.uri("udp")}}, anywhere)
		account = func(p *baresip) string { return k.account(e, p.user, "udp", 60) }
	} else {
		e = siptest.StartEdge(t, siptest.Outlets{}, siptest.Keys{"upstreams": "[]", "media": anywhere["media"]})
	}
	alice, bob = newSinger(t, "alice"), newParrot(t, "bob") // after the edge, so that they can take their leave
	for _, p := range []*baresip{alice, bob} {
		line := account(p)
		if media == "srtp" {
			line += ";mediaenc=srtp-mand"
		}
		p.register(line)
	}
	return alice, bob, e
}
