package replay

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ringwall/ringwall/check"
	"github.com/ringwall/ringwall/check/spray"
	"github.com/ringwall/ringwall/edge"
)

// What honest people and machines do that looks like an attack: nobody of them is to be banned, and nothing of theirs stopped.

var office = caller{at: netip.MustParseAddrPort("192.0.2.20:20000")}

// offices are an office behind one address, over UDP and TCP, and one whose phones have addresses of their own in one network.
var offices = map[string]func(n int) caller{
	"NAT": office.nth,
	"TCP": func(n int) caller { c := office.nth(n); c.stream = true; return c },
	"IPv6": func(n int) caller {
		b := netip.MustParseAddr("2001:db8:20:1::").As16()
		b[14], b[15] = byte(n>>8), byte(n)
		return caller{at: netip.AddrPortFrom(netip.AddrFrom16(b), 5060), lower: n%2 == 0}
	},
	"one port": func(int) caller { return office },
}

// spared runs a scene of innocents and reports what was done to them. Only for the reasons in given may anything be stopped.
func spared(t *testing.T, s *scene, given ...edge.Reason) *Report {
	t.Helper()
	r := s.run(t, allChecks())
	if len(r.Bans) > 0 {
		t.Errorf("bans: %+v", r.Bans)
	}
	for _, one := range r.Sources {
		for _, why := range one.Reasons {
			if one.Acted > 0 && !slices.Contains(given, why) {
				t.Errorf("%d of %d messages from %v are stopped: %v", one.Acted, one.Messages, one.Source, one.Reasons)
				break
			}
		}
	}
	return r
}

// inOffices runs do for each kind of office.
func inOffices(t *testing.T, do func(t *testing.T, phone func(n int) caller)) {
	t.Helper()
	for name, phone := range offices {
		t.Run(name, func(t *testing.T) { do(t, phone) })
	}
}

// TestInnocentOffice: 120 phones register within 15 s, call each other and others, ask for OPTIONS each 15 s, and register again.
func TestInnocentOffice(t *testing.T) {
	inOffices(t, func(t *testing.T, phone func(n int) caller) {
		s := &scene{}
		for i := range 120 {
			c, user := phone(i), fmt.Sprint(1100+i)
			for round := range 3 {
				s.login(time.Duration(i)*125*time.Millisecond+time.Duration(round)*5*time.Minute, c, request{method: "REGISTER", user: user}, "right", 401, 200)
			}
			for round := range 8 {
				s.ask(time.Minute+time.Duration(round)*15*time.Second+time.Duration(i)*120*time.Millisecond, c, request{method: "OPTIONS", user: user, uri: "sip:" + user + "@example.com"}, 200)
			}
			for call, status := range []int{486, 404, 480, 487, 603, 503} {
				s.login(3*time.Minute+time.Duration(i)*300*time.Millisecond+time.Duration(call)*40*time.Second, c,
					request{method: "INVITE", user: user, uri: fmt.Sprintf("sip:0%d@example.com", 3012345000+i*7+call)}, "right", 407, status)
			}
		}
		spared(t, s)
	})
}

// TestInnocentStorm: 500 phones boot within 20 s, the platform needs 12 s to look at passwords.
func TestInnocentStorm(t *testing.T) {
	inOffices(t, func(t *testing.T, phone func(n int) caller) {
		s := &scene{}
		for i := range 500 {
			c, at := phone(i), time.Duration(i)*40*time.Millisecond
			q := s.next(request{method: "REGISTER", user: fmt.Sprint(1000 + i)})
			s.says(at, c, q.String())
			nonce := fmt.Sprintf("nonce-of-%s", q.user)
			s.answer(at+trip, c, q, q.String(), 401, nonce)
			q = s.next(q)
			q.cseq++
			q.fields = fmt.Sprintf(credentials, q.user, nonce, "right")
			for _, again := range []time.Duration{0, 500 * time.Millisecond, 1500 * time.Millisecond, 3500 * time.Millisecond} {
				s.says(at+2*trip+again, c, q.String())
			}
			s.answer(at+12*time.Second, c, q, q.String(), 200, "")
		}
		spared(t, s, "flood.storm", "flood.rate")
	})
}

// TestInnocentOutage: a known office while the platform is down: it says 503 to everything for 5 minutes, or nothing, or that it has nobody.
func TestInnocentOutage(t *testing.T) {
	for _, status := range []int{503, 500, 0, 404, 403} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			inOffices(t, func(t *testing.T, phone func(n int) caller) {
				s := &scene{}
				for i := range 120 {
					c, q := phone(i), request{method: "REGISTER", user: fmt.Sprint(1100 + i)}
					at := time.Duration(i) * 125 * time.Millisecond
					s.login(at, c, q, "right", 401, 200)
					for round := range 10 {
						s.ask(2*time.Hour+at+time.Duration(round)*30*time.Second, c, q, status)
					}
					s.login(2*time.Hour+6*time.Minute+at, c, q, "right", 401, 200)
				}
				spared(t, s)
			})
		})
	}
}

// TestInnocentTrunk: a carrier that nobody made a peer, 50 calls a second, each after a second or four, one in five in vain. Where nothing rings for two
// seconds, what is over the budget of a stranger has to wait then.
func TestInnocentTrunk(t *testing.T) {
	for _, ring := range []time.Duration{time.Second, 4 * time.Second} {
		c, s := office, &scene{}
		c.stream = ring > 2*time.Second
		for i := range 1500 {
			at := time.Duration(i) * 20 * time.Millisecond
			q := request{method: "INVITE", user: fmt.Sprintf("+4917%08d", i*7919%100000000), uri: fmt.Sprintf("sip:+493012345%03d@203.0.113.10", i%1000)}
			if i%5 == 3 {
				s.ask(at, c, q, []int{486, 404, 480, 503}[i%4])
			} else {
				s.call(at, c, q, ring, 20*time.Second)
			}
		}
		if ring < 2*time.Second {
			spared(t, s)
			continue
		}
		if r := spared(t, s, "flood.rate"); r.Sources[0].Acted > 60 {
			t.Errorf("%d stopped", r.Sources[0].Acted)
		}
	}
}

// TestInnocentDialer: a call centre that calls other numbers with the same prefix, 5 a second; it registers, or sends credentials with each call, for
// one user or with the numbers of its customers. Half of the calls fail, each rings for 8 s first.
func TestInnocentDialer(t *testing.T) {
	for _, registers := range []bool{true, false} {
		for _, users := range []int{1, 40} {
			t.Run(fmt.Sprintf("registers %v, %d users", registers, users), func(t *testing.T) {
				s := &scene{}
				if registers {
					s.login(0, office, request{method: "REGISTER", user: "1022"}, "right", 401, 200)
				}
				for i := range 600 {
					at := time.Second + time.Duration(i)*200*time.Millisecond
					user := "1022"
					if users > 1 {
						user = fmt.Sprint(493055550000 + i%users)
					}
					q := s.next(request{method: "INVITE", user: user, uri: fmt.Sprintf("sip:00493%08d@example.com", i*104729%100000000)})
					s.says(at, office, q.String())
					nonce := fmt.Sprintf("nonce-of-call-%d", i)
					s.answer(at+trip, office, q, q.String(), 407, nonce)
					q = s.next(q)
					q.cseq++
					q.fields = "Proxy-" + fmt.Sprintf(credentials, user, nonce, "right")
					s.says(at+2*trip, office, q.String())
					if status := []int{486, 200, 404, 200, 480, 200, 603, 200}[i%8]; status == 200 {
						s.talk(at+8*time.Second, office, q, q.String(), 30*time.Second)
					} else {
						s.answer(at+8*time.Second, office, q, q.String(), status, "")
					}
				}
				spared(t, s)
			})
		}
	}
}

// TestInnocentWrongPassword: one phone of an office has a wrong password for three days and tries it each 30 s, or each 10 s, also for its line keys;
// only its user is kept out.
func TestInnocentWrongPassword(t *testing.T) {
	inOffices(t, func(t *testing.T, phone func(n int) caller) {
		for _, every := range []time.Duration{30 * time.Second, 10 * time.Second} {
			s := &scene{}
			for i := range 20 {
				for at := range 6 {
					s.login(time.Duration(at)*time.Hour/2+time.Duration(i)*time.Second, phone(i), request{method: "REGISTER", user: fmt.Sprint(1100 + i)}, "right", 401, 200)
				}
			}
			for at := time.Minute; at < 3*time.Hour; at += every {
				s.login(at, phone(99), request{method: "REGISTER", user: "1199"}, "wrong", 401, []int{401, 403}[int(at/every)%2])
			}
			for k := range 12 {
				s.login(30*time.Second+time.Duration(k)*50*time.Millisecond, phone(99), request{method: "SUBSCRIBE", user: "1199", uri: fmt.Sprintf("sip:%d@example.com", 1100+k)}, "wrong", 401, 401)
			}
			r := spared(t, s, "auth.lockout", "method.refused", "bruteforce.slow") // the last only asks, as phones can answer
			for _, l := range r.Locks {
				if l.User != "1199@example.com" {
					t.Errorf("%+v", l)
				}
			}
		}
	})
}

// TestInnocentRotation: 12 offices whose passwords were all changed, to a judge that has been at work for a month: phones behind a NAT that nobody was
// accepted from lately, and telephone systems with all their users at one port, who were. In the first minutes that looks like a campaign of 12 sources.
func TestInnocentRotation(t *testing.T) {
	checks := allChecks()
	for i, row := range check.List() {
		if row.Name == "spray" {
			cfg := check.Config{Spray: spray.Config{Since: start.Add(-30 * 24 * time.Hour)}}
			checks[i].Check = row.New(cfg, testKey)
		}
	}
	s := &scene{}
	for site := range 12 {
		for i := range 30 {
			q, c := request{method: "REGISTER", user: fmt.Sprint(1000 + 30*site + i)}, office.neighbour(300*site)
			if site%2 == 0 {
				c = c.nth(i)
			} else {
				s.login(time.Duration(i)*time.Second, c, q, "right", 401, 200)
			}
			for round := range 6 {
				at := 2*time.Hour + time.Duration(round)*time.Minute + time.Duration(i)*time.Second
				s.login(at, c, q, "old", 401, 401)
			}
		}
	}
	if r := s.run(t, checks); len(r.Bans) > 0 {
		t.Errorf("bans: %+v", r.Bans)
	}
}

// TestInnocentMisdialling: people who try a number with other prefixes, correct digits, and redial what is busy.
func TestInnocentMisdialling(t *testing.T) {
	inOffices(t, func(t *testing.T, phone func(n int) caller) {
		s := &scene{}
		for i := range 10 {
			c, user := phone(i), fmt.Sprint(1100+i)
			s.login(time.Duration(i)*time.Second, c, request{method: "REGISTER", user: user}, "right", 401, 200)
			at := time.Minute + time.Duration(i)*20*time.Minute
			for k, p := range []string{"", "0", "00", "9", "90", "+"} {
				s.login(at+time.Duration(k)*7*time.Second, c, request{method: "INVITE", user: user, uri: fmt.Sprintf("sip:%s49309018%03d@example.com", p, i)}, "right", 407, []int{404, 484, 603}[k%3])
			}
			for k := range 8 { // a digit wrong at the end, in the middle
				s.login(at+time.Minute+time.Duration(k)*5*time.Second, c, request{method: "INVITE", user: user, uri: fmt.Sprintf("sip:0301234%d67%d@example.com", k%3, k)}, "right", 407, 404)
			}
			for k := range 12 { // busy
				s.login(at+2*time.Minute+time.Duration(k)*3*time.Second, c, request{method: "INVITE", user: user, uri: "sip:0800123456@example.com"}, "right", 407, 486)
			}
		}
		spared(t, s)
	})
}

// TestInnocentCallsAtAddress: phones that know the platform by its address, register there and call, and one that calls without registering; they give
// their credentials, and nothing at all is said of them.
func TestInnocentCallsAtAddress(t *testing.T) {
	inOffices(t, func(t *testing.T, phone func(n int) caller) {
		s := &scene{}
		for i := range 12 {
			c, user := phone(i), fmt.Sprint(1100+i)
			if i > 0 {
				s.login(time.Duration(i)*time.Second, c, request{method: "REGISTER", user: user}, "right", 401, 200)
			}
			for k := range 8 {
				s.login(time.Minute+time.Duration(k)*20*time.Second+time.Duration(i)*time.Second, c,
					request{method: "INVITE", user: user, uri: fmt.Sprintf("sip:0%d@203.0.113.10", 3012000000+i*7654321+k*1234567)}, "right", 407, []int{486, 404, 480, 487}[k%4])
			}
		}
		for _, one := range spared(t, s).Sources {
			if len(one.Reasons) > 0 {
				t.Errorf("%v: %v", one.Source, one.Reasons)
			}
		}
	})
}

// TestInnocentProbes: softphones that send OPTIONS each 15 s before they are registered, and monitors.
func TestInnocentProbes(t *testing.T) {
	s := &scene{}
	for i := range 40 {
		c := office.nth(i)
		c.agent = []string{"", "sipsak 0.9.8.1", "Zabbix", "blackbox", "Asterisk PBX 18.20"}[i%5]
		for k := range 60 {
			s.ask(time.Duration(k)*15*time.Second+time.Duration(i)*300*time.Millisecond, c, request{method: "OPTIONS", user: "ping", uri: fmt.Sprintf("sip:%d@example.com", 1100+i)}, 200)
		}
	}
	spared(t, s)
}

// TestInnocentTraveller: a phone that changes networks each 10 minutes for a day, and at first answers with the nonce of the network before; and one
// that does so with a wrong password.
func TestInnocentTraveller(t *testing.T) {
	s := &scene{}
	for i := range 144 {
		at := time.Duration(i) * 10 * time.Minute
		c := caller{at: netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + i)}), uint16(30000+i)), stream: i%4 == 3}
		if i > 0 {
			q := s.next(request{method: "REGISTER", user: "1030", fields: fmt.Sprintf(credentials, "1030", "nonce-of-the-one-before", fmt.Sprint("stale", i))})
			s.says(at, c, q.String())
			s.answer(at+trip, c, q, q.String(), 401, "", "X-Stale: yes")
		}
		s.login(at+time.Second, c, request{method: "REGISTER", user: "1030"}, "right", 401, 200)
		s.login(at+time.Minute, c, request{method: "INVITE", user: "1030", uri: "sip:1031@example.com"}, "right", 407, 486)
		s.login(at+2*time.Minute, c.nth(1), request{method: "REGISTER", user: "1040"}, "wrong", 401, 401)
	}
	spared(t, s, "userguard.sources")
}

// TestInnocentTypist: a user who types his password wrong twice, then right, and phones of a street behind a carrier's NAT of which some do.
func TestInnocentTypist(t *testing.T) {
	s := &scene{}
	for i := range 300 {
		c, q := office.nth(i), request{method: "REGISTER", user: fmt.Sprint(2000 + i)}
		at := time.Duration(i) * 2 * time.Second
		if i%10 == 4 {
			s.login(at, c, q, "worng", 401, 401)
			s.login(at+15*time.Second, c, q, "wrogn", 401, 403)
		}
		s.login(at+30*time.Second, c, q, "right", 401, 200)
	}
	spared(t, s)
}

// TestInnocentOutboundProxy: 30 phones whose outbound proxy has a name that the edge does not know as its own register and call like all others.
func TestInnocentOutboundProxy(t *testing.T) {
	s := &scene{}
	for i := range 30 {
		for k := range 20 {
			at, phone := time.Duration(k)*time.Minute+time.Duration(i)*time.Second, office.nth(i)
			q := request{method: "REGISTER", user: fmt.Sprint(1100 + i), fields: "Route: <sip:sbc.example.net;lr>\r\n"}
			s.login(at, phone, q, "right", 401, 200)
			q.method = "INVITE"
			s.login(at+20*time.Second, phone, q, "right", 407, 486)
		}
	}
	spared(t, s)
}
