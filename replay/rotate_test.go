package replay

import (
	"fmt"
	"testing"
	"time"
)

// TestVariantsOfPorts: somebody behind the NAT of an office takes a new port for each step. Nobody of the office is touched.
func TestVariantsOfPorts(t *testing.T) {
	guest := func(i int) caller { return office.nth(5000 + i) }
	for name, attack := range map[string]struct {
		step    func(s *scene, at time.Duration, i int)
		stopped int // of its requests, at least
	}{
		"users": {func(s *scene, at time.Duration, i int) {
			s.ask(at, guest(i), request{method: "REGISTER", user: fmt.Sprint(3000 + i)}, 404)
		}, 390},
		"users by calls": {func(s *scene, at time.Duration, i int) {
			s.ask(at, guest(i), request{method: "INVITE", uri: fmt.Sprintf("sip:%d@example.com", 3000+i)}, 404)
		}, 390},
		"prefixes": {func(s *scene, at time.Duration, i int) {
			s.ask(at, guest(i), request{method: "INVITE", user: "200", uri: "sip:" + numbers("442071838750")[i%20] + "@203.0.113.10"}, 407)
		}, 390},
		"passwords of many": {func(s *scene, at time.Duration, i int) {
			s.login(at, guest(i), request{method: "REGISTER", user: fmt.Sprint(1000 + i)}, "Summer2026", 401, 401)
		}, 150},
		"passwords of one": {func(s *scene, at time.Duration, i int) {
			s.login(at, guest(i), request{method: "REGISTER", user: "1005"}, fmt.Sprint("guess", i), 401, 401)
		}, 790},
	} {
		t.Run(name, func(t *testing.T) {
			s := &scene{}
			for i := range 20 {
				for round := range 12 {
					s.login(time.Duration(i)*time.Second+time.Duration(round)*5*time.Minute, office.nth(i), request{method: "REGISTER", user: fmt.Sprint(1100 + i)}, "right", 401, 200)
				}
			}
			before := len(s.lines)
			for i := range 400 {
				attack.step(s, 2*time.Minute+time.Duration(i)*500*time.Millisecond, i)
			}
			sent := 0
			for _, l := range s.lines[before:] {
				if l.dst == platform {
					sent++
				}
			}
			r := s.run(t, allChecks())
			if one := r.Sources[0]; len(r.Bans) > 0 || int(one.Acted) < attack.stopped || int(one.Acted) > sent {
				t.Errorf("%d of %d are stopped, want %d at least: %v; bans %v", one.Acted, sent, attack.stopped, one.Reasons, r.Bans)
			}
		})
	}
}
