package load

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestOutboundProxyNeedsNoRecordRoute(t *testing.T) {
	tamper := replaceIn("INVITE", "Record-Route: ", "X-Record-Route: ")
	cfg := Config{Window: 1, Traits: Traits{Outbound: true, Added: []string{"X-Record-Route"}}}
	if r := runThroughStub(t, cfg, 5, tamper); r.Valid() != nil {
		t.Error(r.Valid(), r.Examples)
	}
}

// TestWhatHidesMustHide: the stub masks nothing, so it is caught showing the platform's address: in the Contact of the 180 and of the 200.
func TestWhatHidesMustHide(t *testing.T) {
	r := runThroughStub(t, Config{Window: 1, Traits: Traits{Hides: true}}, 1, nil)
	if r.Valid() == nil || !strings.Contains(strings.Join(r.Examples, "\n"), "leaks") || r.Leaks < 2 {
		t.Errorf("reported %d leaks and %q, want two", r.Leaks, r.Examples)
	}
	if r := runThroughStub(t, Config{Window: 1}, 1, nil); r.Leaks != 0 || r.Valid() != nil {
		t.Errorf("%d leaks of a system that hides nothing: %v", r.Leaks, r.Valid())
	}
	tests := []struct{ name, prefix, old, new, want string }{
		{"contact not restored", "BYE", "sip:bob@127", "sip:eve@127", "hidden platform"},
		{"platform in the body", "SIP/2.0 200", "IN IP4 127.2.0.1", "IN IP4 127.0.20.1", "the inside address 127.0.20.1 leaks"},
		{"inside of the edge", "SIP/2.0 100", "Content-Length: 0", "X-From: 127.0.10.2:5070\r\nContent-Length: 0", "the inside address 127.0.10.2 leaks"},
		{"call-id not restored", "SIP/2.0 180", "@caller.example.net", "@masked.example.net", "Call-ID is not"},
		{"other field", "INVITE", "Min-SE: 90", "Min-SE: 91", "Min-SE"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := runThroughStub(t, Config{T1: 10 * time.Millisecond, Window: 1, Traits: Traits{Hides: true, Masks: true}}, 1, replaceIn(tt.prefix, tt.old, tt.new))
			if !strings.Contains(strings.Join(r.Examples, "\n"), tt.want) {
				t.Errorf("reported %q, want something about %q", r.Examples, tt.want)
			}
		})
	}
}

func TestReceivedMayStandAnywhere(t *testing.T) {
	r := runThroughStub(t, Config{Window: 1, Callers: 1}, 2, func(b []byte) []byte {
		b = bytes.Replace(b, []byte(";received=127.1.0.1"), nil, 1)
		return bytes.Replace(b, []byte(";branch=z9hG4bKc"), []byte(";received=127.1.0.1;branch=z9hG4bKc"), 1)
	})
	if r.Valid() != nil {
		t.Error(r.Valid(), r.Examples)
	}
}

// TestReordersForgivesFewLostRinging: 180 overtaken by 200 is not forwarded; that is forgiven for one call in ten.
func TestReordersForgivesFewLostRinging(t *testing.T) {
	tests := []struct {
		name     string
		every    int
		reorders bool
		valid    bool
	}{
		{"one in twenty", 20, true, true},
		{"one in two", 2, true, false},
		{"one in twenty, of a system that keeps order", 20, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			seen := 0
			r := runThroughStub(t, Config{Window: 1, Traits: Traits{Reorders: tt.reorders}}, 40, func(b []byte) []byte {
				if bytes.HasPrefix(b, []byte("SIP/2.0 180")) {
					if seen++; seen%tt.every == 0 {
						return nil
					}
				}
				return b
			})
			if (r.Valid() == nil) != tt.valid || r.Missing != 40/tt.every {
				t.Errorf("valid: %v, want %v; %d missing", r.Valid(), tt.valid, r.Missing)
			}
		})
	}
}

// TestReordersHidesNoLoss: BYE is answered before its ACK, so a lost ACK must show in the count.
func TestReordersHidesNoLoss(t *testing.T) {
	for _, tt := range []struct{ lost, want string }{
		{"ACK", "three to the platform"},
		{"SIP/2.0 100", "four to the caller"},
	} {
		t.Run(tt.lost, func(t *testing.T) {
			r := runThroughStub(t, Config{Window: 1, Traits: Traits{Reorders: true}}, 3, func(b []byte) []byte {
				if bytes.HasPrefix(b, []byte(tt.lost)) {
					return nil
				}
				return b
			})
			if r.Completed != 3 || r.Valid() == nil || !strings.Contains(r.Valid().Error(), tt.want) {
				t.Errorf("completed %d, valid: %v, want all and a count short of %s", r.Completed, r.Valid(), tt.want)
			}
		})
	}
}

func TestOvertaken(t *testing.T) {
	tests := []struct {
		name     string
		reorders bool
		got      message
		want     bool
	}{
		{"100 after 200", true, message{status: 100}, true},
		{"180 after the end", true, message{status: 180}, true},
		{"ACK after BYE", true, message{start: []byte("ACK sip:x SIP/2.0")}, true},
		{"200 late", true, message{status: 200}, false},
		{"BYE late", true, message{start: []byte("BYE sip:x SIP/2.0")}, false},
		{"of a system that keeps order", false, message{status: 100}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := &Generator{cfg: Config{Traits: Traits{Reorders: tt.reorders}}}
			if got := g.overtaken(&tt.got); got != tt.want || (g.report.Overtaken == 1) != tt.want {
				t.Errorf("got %v, counted %d, want %v", got, g.report.Overtaken, tt.want)
			}
		})
	}
}
