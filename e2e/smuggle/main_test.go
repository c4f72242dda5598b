// Package smuggle holds messages that two parsers may read differently, in families, and sends each of them to the whole
// binary, over every transport. A platform behind it records every byte that arrives and reads it with the strictest reader
// there can be: what arrives at all must be canonical, must be one request, and must hold what nobody was to change, byte by
// byte. An honest request behind each case proves that the edge is alive and the connection in step.
//
// TestSmuggling lists the families by the rows of the smuggling table, S1 to S34: go test ./e2e/smuggle -run 'TestSmuggling/S7'; rows that
// are more than one message each are in TestSmugglingStories. A family is data: a function that returns trials. The files sort them by theme.
package smuggle

import (
	"maps"
	"os"
	"sync/atomic"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	siptest.Clean()
	os.Exit(code)
}

// rows are the families that are trials, in order. S29 to S31, S33 and S34 are stories: see rest.
var rows = []struct {
	id, what string
	trials   func() []trial
}{
	{"S1", "white space before the colon", s1},
	{"S2", "a byte in a field name that has no business there", s2},
	{"S3", "bare CR", s3},
	{"S4", "bare LF", s4},
	{"S5", "LF CR, CR CR LF and other odd line ends", s5},
	{"S6", "control bytes in values", s6},
	{"S7", "early end of the header", s7},
	{"S8", "folds", s8},
	{"S9", "a fold after the request line", s9},
	{"S10", "one kind of line end only", s10},
	{"S11", "Content-Length twice", s11},
	{"S12", "Content-Length beyond 32 and 64 bits", s12},
	{"S13", "Content-Length that is no number", s13},
	{"S14", "Content-Length that not everybody sees", s14},
	{"S15", "no Content-Length", s15},
	{"S16", "a datagram of another length than it says", s16},
	{"S17", "bytes before the start line", s17},
	{"S18", "what stands once stands twice", s18},
	{"S19", "From and To that can be read in two ways", s19},
	{"S20", "CSeq", s20},
	{"S21", "Max-Forwards", s21},
	{"S22", "the request line", s22},
	{"S23", "too much of one thing", s23},
	{"S24", "fields in URIs", s24},
	{"S25", "escapes", s25},
	{"S26", "Routes of strangers", s26},
	{"S27", "inside addresses in Record-Route, Path and Via", s27},
	{"S28", "claims of strangers", s28},
	{"S32", "bodies that look like messages", s32},
}

// stories are the rows and parts of rows that are more than one message.
var stories = []struct {
	id, what string
	run      func(*testing.T)
}{
	{"S23", "processor time", bombsCost},
	{"S29", "responses to nothing", strayReplies},
	{"S30", "responses from elsewhere", replySources},
	{"S30", "responses of strangers inside", insideStrangers},
	{"S31", "responses with other Vias", replyVias},
	{"S33", "WebSocket frames", webSocketFrames},
	{"S33", "memory of idle WebSocket connections", webSocketMemory},
	{"S34", "odd handshakes", tlsOddities},
	{"S34", "names, protocols, versions, half handshakes", tlsNames},
}

// A lane is a way to a site.
type lane struct {
	site *site
	way  string
}

func (l lane) name() string { return l.way + "-" + l.site.name }

// TestSmuggling runs every row over each way to each site.
func TestSmuggling(t *testing.T) {
	lanes := lanes(t)
	var total atomic.Int64
	t.Cleanup(func() { settle(t, lanes, total.Load()) })
	for _, row := range rows {
		trials := row.trials()
		t.Run(row.id, func(t *testing.T) {
			t.Logf("%d trials: %s", len(trials), row.what)
			for _, l := range lanes {
				t.Run(l.name(), func(t *testing.T) {
					t.Parallel()
					s := newStation(t, l.site, l.way)
					runAll(s, trials)
					total.Add(int64(s.ran))
				})
			}
		})
	}
}

// TestSmugglingStories runs the stories: go test ./e2e/smuggle -run 'TestSmuggling.*/S33'.
func TestSmugglingStories(t *testing.T) {
	for _, s := range stories {
		t.Run(s.id+" "+s.what, s.run)
	}
}

// runAll runs the trials that are meant for the station's way.
func runAll(s *station, trials []trial) {
	for _, t := range trials {
		if t.runs(s.way) {
			s.run(t)
		}
	}
}

// settle looks at what only the whole can tell: nothing came that belongs to no trial, and all that was refused was counted.
func settle(t *testing.T, lanes []lane, total int64) {
	seen := map[*site]bool{}
	for _, l := range lanes {
		if seen[l.site] {
			continue
		}
		seen[l.site] = true
		for _, raw := range l.site.platform.strays() {
			t.Errorf("%s: nobody sent this: %q", l.site.name, raw)
		}
		if n, counted := l.site.refused.Load(), int64(l.site.edge.Counted(float64(l.site.refused.Load()), "ringwall_refused_total")); counted < n {
			t.Errorf("%s: %d refused, but only %d counted", l.site.name, n, counted)
		}
		if n := l.site.edge.Counter("ringwall_transport_panics_total"); n != 0 {
			t.Errorf("%s: %v panics", l.site.name, n)
		}
	}
	t.Logf("%d trials sent, over %d ways", total, len(lanes))
}

// lanes starts the sites: one that relays all that is well formed to UDP, one to TCP, and one that is configured as usual.
func lanes(t *testing.T) (all []lane) {
	for _, c := range []struct {
		name, params string
		keys         siptest.Keys
		ways         []string
	}{
		{"udp", "", monitor, []string{"udp", "tcp", "tls", "ws"}},
		{"tcp", ";transport=tcp", monitor, []string{"udp", "tcp"}},
		{"enforce", "", nil, []string{"udp", "tcp", "wss"}},
	} {
		s := newSite(t, c.name, c.params, c.keys)
		for _, way := range c.ways {
			all = append(all, lane{s, way})
		}
	}
	return all
}

// newSite starts an edge and a platform, whose URI ends in params.
func newSite(t *testing.T, name, params string, more siptest.Keys, env ...string) *site {
	t.Helper()
	s := &site{name: name, platform: newPlatform(t)}
	keys := siptest.Keys{"checks": "{mode: off}", // the parser and the proxy stand for themselves, and one station attacks all the time
		"timers": "{linger: 2s, drain: 300ms}", "headers": "{from_outside: {remove: [X-Internal]}}"}
	maps.Copy(keys, more)
	s.edge = siptest.StartEdge(t, siptest.Outlets{Upstream: []string{"sip:" + s.platform.addr.String() + params}, Secure: true, Env: env}, keys)
	return s
}

// raced says that the binary is built with the race detector.
var raced = os.Getenv("RINGWALL_RACE") != ""

// monitor relays every well-formed request.
var monitor = siptest.Keys{"mode": "monitor", "access": "{unknown: any}"}
