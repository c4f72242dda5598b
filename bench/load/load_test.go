package load

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringwall/ringwall/bench/floor"
)

func TestCallsThroughStub(t *testing.T) {
	r := runThroughStub(t, Config{}, 1000, nil)
	if err := r.Valid(); err != nil {
		t.Fatal(err, r.Examples)
	}
	if r.Completed != 1000 || r.Failed != 0 {
		t.Errorf("completed %d, failed %d, want 1000 and 0", r.Completed, r.Failed)
	}
	if r.Retransmitted == 0 && (r.CallerSent != 3000 || r.CallerGot != 4000 || r.PlatformGot != 3000 || r.PlatformSent != 4000) {
		t.Errorf("messages of 1000 calls: %+v, want 3 and 4 of each at each end", r)
	}
	if r.P50Micros <= 0 || r.P99Micros < r.P50Micros || r.MaxMicros < r.P99Micros {
		t.Errorf("latencies p50 %g, p99 %g, max %g are out of order", r.P50Micros, r.P99Micros, r.MaxMicros)
	}
}

func TestOpenLoopStartsWhatIsDue(t *testing.T) {
	r := runThroughStub(t, Config{Rate: 2000}, 200, nil)
	if err := r.Valid(); err != nil {
		t.Fatal(err)
	}
	if r.Seconds < 199.0/2000 {
		t.Errorf("200 calls at 2000 a second took %g s: started too early", r.Seconds)
	}
}

func TestOtherModesThroughStub(t *testing.T) {
	for _, mode := range []Mode{Register, Options} {
		t.Run(string(mode), func(t *testing.T) {
			r := runThroughStub(t, Config{Mode: mode, Users: 20, Callers: 4}, 200, nil)
			if err := r.Valid(); err != nil {
				t.Fatal(err)
			}
			if r.Completed != 200 || r.PlatformGot < 200 {
				t.Errorf("completed %d, platform got %d, want 200 each", r.Completed, r.PlatformGot)
			}
		})
	}
}

func TestFloodThatGetsThroughIsInvalid(t *testing.T) {
	r := runThroughStub(t, Config{Mode: Flood, Rate: 10000}, 100, nil)
	if err := r.Valid(); err == nil || r.PlatformGot != 100 {
		t.Errorf("a flood that reached the platform %d times counts as valid: %v", r.PlatformGot, err)
	}
	silent := runThroughStub(t, Config{Mode: Flood, Rate: 10000}, 100, func([]byte) []byte { return nil })
	if err := silent.Valid(); err != nil || silent.Completed != 100 {
		t.Errorf("a flood that got no answer: %v, sent %d", err, silent.Completed)
	}
}

// TestTamperingIsReported alters one thing at a time and wants it named.
func TestTamperingIsReported(t *testing.T) {
	tests := []struct{ name, prefix, old, new, want string }{
		{"request line", "INVITE", "sip:bob@", "sip:eve@", "request line changed"},
		{"request line of BYE", "BYE", " SIP/2.0", ";x SIP/2.0", "request line changed"},
		{"max-forwards", "INVITE", "Max-Forwards: 69", "Max-Forwards: 70", "Max-Forwards"},
		{"body to platform", "INVITE", "PCMA", "PCMB", "body changed"},
		{"body to caller", "SIP/2.0 200", "PCMA", "PCMB", "body changed"},
		{"call-id", "ACK", "@caller.example.net", "@caller.example.org", "Call-ID"},
		{"from", "BYE", "Alice Example", "Alice Exemple", "From"},
		{"to tag", "SIP/2.0 180", ";tag=t", ";tag=T", "To: "},
		{"cseq of ACK", "ACK", "CSeq: 1", "CSeq: 2", "CSeq"},
		{"field gone", "INVITE", "Min-SE: 90\r\n", "", "Min-SE"},
		{"field added", "INVITE", "Min-SE: 90\r\n", "Min-SE: 90\r\nX-Extra: 1\r\n", "X-Extra"},
		{"fields swapped", "INVITE", "Min-SE: 90\r\nContent-Type: application/sdp\r\n", "Content-Type: application/sdp\r\nMin-SE: 90\r\n", "differs"},
		{"white space", "INVITE", "Min-SE: 90", "Min-SE:90", "Min-SE"},
		{"no branch", "INVITE", ";branch=z9hG4bKstub", ";branch=", "branch of its own"},
		{"via not added", "ACK", "\r\nVia: SIP/2.0/UDP 127.0.10.2", "\r\nX: SIP/2.0/UDP 127.0.10.2", "Vias"},
		{"caller's via", "INVITE", ";rport=", ";lport=", "caller's Via"},
		{"wrong received", "INVITE", ";received=127.1", ";received=127.9", "caller's Via"},
		{"via left in response", "SIP/2.0 180", "Via:", "Via: SIP/2.0/UDP 127.0.10.2;branch=z9hG4bKx\r\nVia:", "Vias"},
		{"via of response", "SIP/2.0 180", ";rport=", ";xport=", "Via"},
		{"no record-route", "INVITE", "Record-Route: ", "X-Record-Route: ", "Record-Route"},
		{"record-route lost", "SIP/2.0 200", "Record-Route: ", "X-Record-Route: ", "Record-Route is gone"},
		{"route leaked", "BYE", "Max-Forwards", "Route: <sip:127.0.10.1;lr>\r\nMax-Forwards", "a Route of the edge"},
		{"reason phrase", "SIP/2.0 180", "Ringing", "Calling", "status line changed"},
		{"100 of another call", "SIP/2.0 100", "CSeq: 1", "CSeq: 9", "not the request's"},
		{"content-length", "INVITE", "Content-Length: ", "Content-Length: 1", "Content-Length"},
		{"bare LF", "INVITE", "Min-SE: 90\r\n", "Min-SE: 90\n", "bare"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := runThroughStub(t, Config{T1: 10 * time.Millisecond, Window: 1}, 1, replaceIn(tt.prefix, tt.old, tt.new))
			if r.Valid() == nil {
				t.Fatal("not noticed")
			}
			if !strings.Contains(strings.Join(r.Examples, "\n"), tt.want) {
				t.Errorf("reported %q, want something about %q", r.Examples, tt.want)
			}
		})
	}
}

func TestSourceFieldIsChecked(t *testing.T) {
	tests := []struct {
		name, value string
		valid       bool
	}{
		{"right", "", true},
		{"wrong port", ";tcp", false},
		{"missing", "-", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := runThroughStub(t, Config{Window: 1, Callers: 1, Traits: Traits{Source: "X-Source"}}, 1, func(b []byte) []byte {
				if tt.value == "-" || bytes.HasPrefix(b, []byte("SIP/2.0")) {
					return b
				}
				_, rport, _ := bytes.Cut(b, []byte("rport="))
				port, _, _ := bytes.Cut(rport, []byte(";"))
				field := "Content-Length: " // the last field: X-Source goes in front of it
				added := "X-Source: 127.1.0.1:" + string(port) + ";udp" + tt.value + "\r\n"
				return bytes.Replace(b, []byte(field), []byte(added+field), 1)
			})
			if err := r.Valid(); (err == nil) != tt.valid {
				t.Errorf("valid: %v, want %v; %v", err == nil, tt.valid, r.Examples)
			}
		})
	}
}

func TestOneBranchForTwoTransactionsIsReported(t *testing.T) {
	same := func(b []byte) []byte {
		const mark = ";branch=z9hG4bKstub"
		if i := bytes.Index(b, []byte(mark)); i >= 0 {
			end := i + bytes.IndexByte(b[i:], '\r')
			return append(append(bytes.Clone(b[:i]), ";branch=z9hG4bKsame"...), b[end:]...)
		}
		return b
	}
	r := runThroughStub(t, Config{Window: 1}, 2, same)
	if r.Valid() == nil || !strings.Contains(strings.Join(r.Examples, "\n"), "used before") {
		t.Errorf("reported %q, want that the Via was used before", r.Examples)
	}
}

func TestUnsolicitedIsReported(t *testing.T) {
	tests := []struct{ name, old, new string }{
		{"another tag", ";tag=f", ";tag=g"},
		{"call that never was", ";tag=f", ";tag=ffffffffffffffffff"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// The 100 is the stub's own, so calls complete without it.
			r := runThroughStub(t, Config{Window: 1}, 1, replaceIn("SIP/2.0 100", tt.old, tt.new))
			if r.Unexpected != 1 || r.Completed != 1 || r.Valid() == nil {
				t.Errorf("unexpected %d, completed %d, want 1 and 1", r.Unexpected, r.Completed)
			}
		})
	}
}

// TestLossIsRepaired loses every 100 (the stub has no memory to repeat an INVITE that it has answered with 100) and every
// seventh other message, so that every kind is lost and sent again.
func TestLossIsRepaired(t *testing.T) {
	var count atomic.Int32
	r := runThroughStub(t, Config{T1: 100 * time.Millisecond, Window: 64}, 300, func(b []byte) []byte {
		if bytes.HasPrefix(b, []byte("SIP/2.0 100")) || count.Add(1)%7 == 0 {
			return nil
		}
		return b
	})
	if err := r.Valid(); err != nil {
		t.Fatal(err, r.Examples)
	}
	if r.Completed != 300 || r.Retransmitted == 0 || r.Missing == 0 {
		t.Errorf("completed %d, %d retransmissions, %d 180 missing, want 300, some and some", r.Completed, r.Retransmitted, r.Missing)
	}
}

func TestLostRingingAloneIsReported(t *testing.T) {
	r := runThroughStub(t, Config{}, 1, replaceIn("SIP/2.0 180", "SIP/2.0 180", "SIP/2.0 100"))
	if r.Missing != 1 || r.Valid() == nil {
		t.Errorf("missing %d, want 1 and an invalid run", r.Missing)
	}
}

func TestSilenceFailsTheCall(t *testing.T) {
	r := runThroughStub(t, Config{T1: time.Millisecond, Window: 2}, 4, func([]byte) []byte { return nil })
	if r.Failed != 4 || r.Completed != 0 || r.Valid() == nil {
		t.Errorf("failed %d, completed %d, want 4 and 0", r.Failed, r.Completed)
	}
}

func TestRefusalFailsTheCall(t *testing.T) {
	r := runThroughStub(t, Config{Window: 1}, 2, replaceIn("SIP/2.0 200", "200 OK", "503 Nope"))
	if r.Failed != 2 || !strings.Contains(strings.Join(r.Examples, "\n"), "refused") {
		t.Errorf("failed %d with %q, want 2 refused calls", r.Failed, r.Examples)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	g, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	g.Aim(g.Platform(), netip.Addr{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := g.Run(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func TestForwarderCarriesThousandCalls(t *testing.T) {
	g, err := New(Config{Callers: 1, Traits: Traits{Transparent: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	f, err := floor.New(floor.Config{Outside: netip.MustParseAddrPort("127.0.10.1:0"),
		Inside: netip.MustParseAddrPort("127.0.10.2:0"), Upstream: g.Platform()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- f.Run(ctx) }()
	g.Aim(f.Outside(), f.Inside().Addr())
	r, err := g.Run(ctx, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Valid(); err != nil {
		t.Error(err)
	}
	if r.Completed != 1000 {
		t.Errorf("completed %d, want 1000", r.Completed)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("forwarder ended with %v", err)
	}
}

func TestConfigRefusesNonsense(t *testing.T) {
	tests := []struct {
		cfg  Config
		want string
	}{
		{Config{Mode: "dance"}, "mode"},
		{Config{Callers: 251}, "callers"},
		{Config{Window: -1}, "window"},
		{Config{Ends: Ends{First: netip.IPv6Loopback(), Media: Loopback.Media}}, "callers from ::1"},
		{Config{Ends: Ends{First: Loopback.First}}, "media at invalid IP"},
		{Config{Rate: -1}, "rate"},
		{Config{Mode: Flood}, "rate"},
		{Config{Platform: netip.MustParseAddrPort("[::1]:0")}, "platform"},
	}
	for _, tt := range tests {
		if _, err := New(tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("New(%+v): %v, want an error about %q", tt.cfg, err, tt.want)
		}
	}
}

func TestInviteHasTheSizeOfTheMeasuredOne(t *testing.T) {
	var cfg Config
	cfg.setDefaults()
	s := newScript(1, cfg, []netip.AddrPort{netip.MustParseAddrPort("127.1.0.1:5060")}, netip.MustParseAddrPort("127.0.20.1:5080"))
	m := message{raw: s.appendInvite(nil, 7)}
	if err := m.cut(); err != nil {
		t.Fatal(err)
	}
	if fields := len(m.rest) + len(m.vias) + 1; len(m.raw) < 1050 || len(m.raw) > 1250 || fields != 16 {
		t.Errorf("INVITE of %d bytes and %d fields, want about 1.1 KB and 16", len(m.raw), fields)
	}
}
