package proxy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/sip"
)

// TestAccessPerTrustClass: out-of-dialog requests come from classes that may start them. A 2xx to REGISTER makes its source known, until
// the binding ends.
func TestAccessPerTrustClass(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Unknown = MethodSet(sip.REGISTER, sip.INVITE, sip.OPTIONS) })
	n := 0
	passes := func(method string) bool {
		n++
		b.send(b.outside, newRequest(method, n))
		b.drained()
		return strings.HasPrefix(b.got(b.platform), method+" ")
	}
	methods := []string{"MESSAGE", "SUBSCRIBE", "NOTIFY", "REFER", "PUBLISH", "INFO", "UPDATE", "PRACK", "BYE", "INVENTED", "message", "INVITE"}
	may := func() (all []string) {
		for _, m := range methods {
			if passes(m) {
				all = append(all, m)
			}
			b.now = b.now.Add(time.Second)
		}
		return all
	}
	if got := may(); !slices.Equal(got, []string{"INVITE"}) {
		t.Errorf("strangers may start %q", got)
	}
	n++
	b.send(b.outside, newRequest("REGISTER", n))
	register := b.expect(b.platform, "REGISTER")
	if passes("MESSAGE") {
		t.Error("a REGISTER that nobody has accepted makes known")
	}
	b.send(b.inside, replyTo(register, "200 OK"))
	b.drained()
	if got := may(); !slices.Equal(got, methods) {
		t.Errorf("a registered phone may start %q", got)
	}
	other := b.at(socket(t))
	b.send(other, newRequest("MESSAGE", 1000))
	b.silence(b.platform)
	b.now = b.now.Add(2 * time.Hour)
	if passes("MESSAGE") {
		t.Error("known for longer than it is registered")
	}
}
