package e2e

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// hiding hides the platform, and keeps back whatever names it all the same.
var hiding = siptest.Keys{"topology": "{hide: true, guard: block}", "domains": "[example.com]"}

// concealed is keys with the platform hidden.
func concealed(keys siptest.Keys) siptest.Keys {
	all := maps.Clone(hiding)
	maps.Copy(all, keys)
	return all
}

// TestConformanceHidden runs the rows that are about calls and registrations once more with the platform hidden and media relayed: whoever follows
// the RFC notices nothing but other addresses. What the phones got is searched for the platform's address.
func TestConformanceHidden(t *testing.T) {
	t.Parallel()
	rowsAgain(t, "P1 P2 P3 P4 P5 P6 P7 P8 P15 P16 P17 P29 P30 P31 P33 P34 P35 P36 P37 P38 P39 P43 P45 P46 P48 P51 P52 P53 P54 P55 P64 P65-hidden "+
		"P66-hidden P67 P68", 2, relaying)
}

// TestFlowsHidden runs every flow with the platform hidden and media relayed.
func TestFlowsHidden(t *testing.T) {
	t.Parallel()
	for _, w := range append(slices.Concat(both, mixes), sixes[0], across[0], secures[0], webs[1]) {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			for _, one := range flows {
				t.Run(one.name, func(t *testing.T) {
					t.Parallel()
					one.run(newRig(t, w, concealed(relaying)))
				})
			}
		})
	}
}

// seen is the Request-URI that a request for uri, sent in a dialog, has when it reaches ua: where the platform is hidden outside knows it
// by another one.
func (r *rig) seen(uri string, ua *siptest.UA) string {
	if r.hidden {
		return siptest.URI(ua.Contact())
	}
	return uri
}

// marks are what nobody outside may see: where the platform is, and what stories put into its messages.
func (r *rig) marks() []string {
	marks := []string{"mark-", "Timestamp: ", "10.77.", "fd77:", r.platform.Addr.String(), r.edge.Inside.String()}
	for _, a := range []string{r.platform.Addr.Addr().String(), r.edge.Inside.Addr().String()} {
		if a != r.edge.Outside.Addr().String() {
			marks = append(marks, a)
		}
	}
	return marks
}

// shows reports whether mark stands in line; an address or port does not stand in a longer one.
func shows(line, mark string) bool {
	for {
		_, after, found := strings.Cut(line, mark)
		if !found {
			return false
		}
		digits := '0' <= mark[len(mark)-1] && mark[len(mark)-1] <= '9'
		if !digits || after == "" || after[0] < '0' || after[0] > '9' {
			return true
		}
		line = after
	}
}

// whole are the fields of which peers get all: a seal is computed over them, or they are of one user for another.
var whole = []string{"Identity", "Identity-Info", "User-to-User", "P-Access-Network-Info"}

// unseen fails the test if anything that came to anybody outside shows something of the inside, or more than one Via or Record-Route.
func (r *rig) unseen() {
	r.Helper()
	marks, told := r.marks(), map[string]bool{}
	for _, ua := range r.outside {
		for _, got := range ua.Log() {
			if got.Message == nil {
				continue
			}
			for line := range strings.SplitSeq(got.Raw, "\r\n") {
				name, _, _ := strings.Cut(line, ":")
				if ua.User == "carrier" && slices.Contains(whole, name) {
					continue
				}
				if slices.ContainsFunc(marks, func(mark string) bool { return shows(line, mark) }) && !told[name] {
					told[name] = true
					r.Errorf("%s sees %q in:\n%s", ua.User, line, got.Raw)
				}
			}
			if len(got.All("Via")) != 1 || len(got.All("Record-Route")) > 1 {
				r.Errorf("%s sees who else is there:\n%s", ua.User, got.Raw)
			}
		}
	}
}
