package replay

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/check"
	"github.com/ringwall/ringwall/judge"
)

// The labelled captures are one example of each attack. Here the same ones come in other clothes: other phones' names, compact and lower-case fields,
// IPv6, TCP, other paces, and other answers of the platform. None of them has the marks of a tool.

// styles are ways to write.
var styles = map[string]caller{
	"usual":   {at: stranger},
	"agent":   {at: stranger, agent: "Yealink SIP-T46S 66.85.0.5"},
	"none":    {at: stranger, agent: "x"},
	"compact": {at: stranger, agent: "MicroSIP/3.21.3", compact: true},
	"lower":   {at: stranger, agent: "snom370/8.7.5.35", lower: true},
	"IPv6":    {at: netip.MustParseAddrPort("[2001:db8:66::7]:5070"), agent: "Linphone/4.4.0"},
	"TCP":     {at: stranger, agent: "Zoiper rv2.10.18", stream: true},
	"TCP6":    {at: netip.MustParseAddrPort("[2001:db8:66::7]:40000"), compact: true, stream: true},
}

// A variant is an attack by who writes so, with so long between its steps.
type variant struct {
	style  caller
	pace   time.Duration
	status int
}

// found runs a scene in which everybody in list attacks, and holds it to how many messages may get through of each.
func found(t *testing.T, s *scene, through float64, list ...caller) *Report {
	t.Helper()
	r := s.run(t, allChecks())
	r.Score([]Label{blames(list...)})
	got := r.Labels[0]
	if got.Found < got.Attackers || got.Attackers == 0 || got.Through.Most > through {
		t.Errorf("%d of %d found, %v messages through, want up to %v; missed %v; %+v", got.Found, got.Attackers, got.Through.Most, through, got.Missed, r.Sources)
	}
	if len(got.Innocent) > 0 || got.Touched > 0 {
		t.Errorf("innocents are banned: %v, or touched: %d; bans %+v", got.Innocent, got.Touched, r.Bans)
	}
	return r
}

// each runs do for all paces and answers, and for all styles with some of them.
func each(t *testing.T, paces []time.Duration, statuses []int, do func(t *testing.T, v variant)) {
	t.Helper()
	run := func(name string, v variant) {
		t.Run(fmt.Sprintf("%s/%v/%d", name, v.pace, v.status), func(t *testing.T) { do(t, v) })
	}
	for _, pace := range paces {
		for _, status := range statuses {
			run("usual", variant{styles["usual"], pace, status})
		}
	}
	for i, name := range slices.Sorted(maps.Keys(styles)) {
		run(name, variant{styles[name], paces[i%len(paces)], statuses[i%len(statuses)]})
		run(name, variant{styles[name], paces[0], statuses[(i+1)%len(statuses)]})
	}
}

var fastAndSlow = []time.Duration{5 * time.Millisecond, time.Second, 25 * time.Second, 50 * time.Second}

// TestVariantsOfEnumeration: one user after the other, where the platform tells who is not there; every ninth is there and challenged.
func TestVariantsOfEnumeration(t *testing.T) {
	for _, method := range []string{"REGISTER", "INVITE"} {
		each(t, fastAndSlow, []int{404, 403, 480, 484, 410, 604}, func(t *testing.T, v variant) {
			s := &scene{}
			for i := range 40 {
				q := request{method: method, user: fmt.Sprint(3000 + i)}
				if method == "INVITE" {
					q.uri = "sip:" + q.user + "@example.com"
				}
				status := v.status
				if i%9 == 5 {
					status = 401
				}
				s.ask(time.Duration(i)*v.pace, v.style, q, status)
			}
			through := 12.0
			if v.pace < trip {
				through += float64(trip / v.pace) // asked before the first answer
			}
			found(t, s, through, v.style)
		})
	}
}

// TestVariantsOfAnsweredEnumeration: the platform challenges before it says who is not there, and the tool answers whatever.
func TestVariantsOfAnsweredEnumeration(t *testing.T) {
	each(t, fastAndSlow[1:], []int{404, 410, 604, 403, 401}, func(t *testing.T, v variant) {
		s := &scene{}
		for i := range 40 {
			s.login(time.Duration(i)*v.pace, v.style, request{method: "REGISTER", user: fmt.Sprint(3000 + i)}, "nothing", 401, v.status)
		}
		found(t, s, 24, v.style)
	})
}

// TestVariantsOfOPTIONS: the edge answers, so nothing gets through.
func TestVariantsOfOPTIONS(t *testing.T) {
	each(t, fastAndSlow, []int{0}, func(t *testing.T, v variant) {
		s := &scene{}
		for i := range 40 {
			s.ask(time.Duration(i)*v.pace, v.style, request{method: "OPTIONS", user: "monitor", uri: fmt.Sprintf("sip:%d@example.com", 3000+i)}, 0)
		}
		found(t, s, 0, v.style)
	})
}

// TestVariantsOfGuessing: one password after the other, each with a challenge before it, or all with the first one's nonce.
func TestVariantsOfGuessing(t *testing.T) {
	for _, method := range []string{"REGISTER", "INVITE"} {
		each(t, fastAndSlow[:3], []int{401, 403, 407}, func(t *testing.T, v variant) {
			s := &scene{}
			for i := range 40 {
				q := request{method: method, user: "1005"}
				if method == "INVITE" {
					q.uri = "sip:1006@example.com"
				}
				challenges := map[string]int{"REGISTER": 401, "INVITE": 407}[method]
				s.login(time.Duration(i)*(v.pace+4*trip), v.style, q, fmt.Sprint("guess", i), challenges, v.status)
			}
			if method == "INVITE" && v.status == 403 && v.pace > 15*time.Second {
				return // a slow guesser whose calls are refused can't be told from one whose calls are barred
			}
			found(t, s, 10, v.style)
		})
	}
}

// TestVariantsOfNames: the passwords of one user, each tried in the From and To of another one: the name in the credentials says whose they are to be.
func TestVariantsOfNames(t *testing.T) {
	paces := []time.Duration{100 * time.Millisecond, time.Second, 25 * time.Second}
	try := func(s *scene, at time.Duration, c caller, method, user string, status int) {
		q := request{method: method, user: user, name: "1005"}
		challenges := 401
		if method == "INVITE" {
			q.uri, challenges = "sip:1006@example.com", 407
		}
		s.login(at, c, q, fmt.Sprint("guess", len(s.lines)), challenges, status)
	}
	for _, method := range []string{"REGISTER", "INVITE"} {
		each(t, paces, []int{401, 407}, func(t *testing.T, v variant) {
			s := &scene{}
			for i := range 40 {
				try(s, time.Duration(i)*(v.pace+4*trip), v.style, method, fmt.Sprint(2000+i), v.status)
			}
			found(t, s, 10, v.style)
			s = &scene{} // somebody with an account of his own, from the phone that is registered with it
			s.login(0, v.style, request{method: "REGISTER", user: "2000"}, "right", 401, 200)
			for i := range 40 {
				try(s, time.Second+time.Duration(i)*(v.pace+4*trip), v.style, method, "2000", v.status)
			}
			found(t, s, 12, v.style)
		})
		t.Run(method+" from many sources", func(t *testing.T) {
			s := &scene{}
			var crew []caller
			for i := range 40 {
				crew = append(crew, styles["agent"].neighbour(300*i))
			}
			for i := range 240 {
				try(s, time.Duration(i)*10*time.Second, crew[i%40], method, fmt.Sprint(2000+i), 401)
			}
			found(t, s, 4, crew...)
		})
	}
}

// numbers is one number with all kinds of prefixes.
func numbers(number string) (list []string) {
	for _, p := range []string{"", "0", "00", "000", "9", "90", "900", "9011", "011", "8", "80", "810", "*9", "%23", "00%2B", "9-00-", "0000000000", "900000000000", "+", "1"} {
		list = append(list, p+number)
	}
	return list
}

// TestVariantsOfPrefixes: one number behind all kinds of prefixes, without credentials, each from another user.
func TestVariantsOfPrefixes(t *testing.T) {
	each(t, []time.Duration{50 * time.Millisecond, 5 * time.Second, 100 * time.Second}, []int{401, 407, 403, 404, 480, 484, 503, 603}, func(t *testing.T, v variant) {
		for _, order := range []string{"short first", "long first"} {
			s := &scene{}
			list := numbers("442071838750")
			if order == "long first" {
				slices.Reverse(list)
			}
			for i, n := range list {
				s.ask(time.Duration(i)*v.pace, v.style, request{method: "INVITE", user: fmt.Sprint(100 + i%7), uri: "sip:" + n + "@203.0.113.10"}, v.status)
			}
			found(t, s, 6, v.style)
		}
	})
}

// TestVariantsOfStrangersCalls: a stranger who calls another telephone number each time, at our address and without credentials, is greylisted: what a
// capture shows of that is the reason.
func TestVariantsOfStrangersCalls(t *testing.T) {
	each(t, []time.Duration{20 * time.Second, 2 * time.Minute}, []int{401, 407, 403, 404, 484, 603}, func(t *testing.T, v variant) {
		s := &scene{}
		for i := range 6 {
			s.ask(time.Duration(i)*v.pace, v.style, request{method: "INVITE", user: "100", uri: fmt.Sprintf("sip:0044%d@203.0.113.10", 2071000000+i*7654321)}, v.status)
		}
		if r := s.run(t, allChecks()); len(r.Bans) > 0 || !slices.Contains(r.Sources[0].Reasons, "dialprefix.address") {
			t.Errorf("%+v, bans %+v", r.Sources, r.Bans)
		}
	})
}

// TestVariantsOfStolenAccounts: the same with the password of a user, from where he registered a moment ago: a machine is noticed after 3 prefixes,
// each dialled twice since the platform challenges, and two REGISTERs.
func TestVariantsOfStolenAccounts(t *testing.T) {
	each(t, []time.Duration{200 * time.Millisecond, 2 * time.Second, 4 * time.Second}, []int{404, 484, 603, 480, 403, 503}, func(t *testing.T, v variant) {
		s := &scene{}
		s.login(0, v.style, request{method: "REGISTER", user: "1005"}, "stolen", 401, 200)
		for i, n := range numbers("442071838750") {
			s.login(time.Second+time.Duration(i)*v.pace, v.style, request{method: "INVITE", user: "1005", uri: "sip:" + n + "@203.0.113.10"}, "stolen", 407, v.status)
		}
		r := s.run(t, allChecks())
		r.Score([]Label{blames(v.style)})
		if got := r.Labels[0]; got.Found != 1 || got.Through.Most > 9 || len(r.Bans) > 0 {
			t.Errorf("%v messages through, want up to 9; bans %+v", got.Through.Most, r.Bans)
		}
	})
}

// TestVariantsOfTurns: attacks by many sources in turns, in one network or in many: a number's prefixes, a user's password, many users.
func TestVariantsOfTurns(t *testing.T) {
	for _, step := range []int{1, 300} {
		for name, style := range styles {
			crew := func(n int) (list []caller) {
				for i := range n {
					one := style.neighbour(i * step)
					if style.at.Addr().Is6() {
						b := style.at.Addr().As16()
						b[7] += byte(i)
						one.at = netip.AddrPortFrom(netip.AddrFrom16(b), style.at.Port())
					}
					list = append(list, one)
				}
				return list
			}
			t.Run(fmt.Sprintf("%s/%d/prefixes", name, step), func(t *testing.T) {
				s, list := &scene{}, crew(6)
				for i := range 72 {
					s.ask(time.Duration(i)*40*time.Second, list[i%6], request{method: "INVITE", user: "200", uri: "sip:" + numbers("44207183875" + fmt.Sprint(i%3))[i%20] + "@203.0.113.10"}, 407)
				}
				found(t, s, 4, list...)
			})
			t.Run(fmt.Sprintf("%s/%d/one user", name, step), func(t *testing.T) {
				s, list := &scene{}, crew(40)
				for i := range 240 {
					s.login(time.Duration(i)*10*time.Second, list[i%40], request{method: "REGISTER", user: "1009"}, fmt.Sprint("guess", i), 401, 403-i%2*2)
				}
				found(t, s, 4, list...)
			})
			t.Run(fmt.Sprintf("%s/%d/many users", name, step), func(t *testing.T) {
				s, list := &scene{}, crew(20)
				for i := range 240 {
					s.login(time.Duration(i)*4*time.Second, list[i%20], request{method: "REGISTER", user: fmt.Sprint(1000 + i)}, "Summer2026", 401, 401)
				}
				found(t, s, 10, list...)
			})
		}
	}
}

// TestVariantsOfCampaigns: 20 sources in networks of their own try three or four users each, too few to be found one by one; by a judge that has been
// at work for long. In its first week that is told and no more.
func TestVariantsOfCampaigns(t *testing.T) {
	checks := func(since time.Time) (list []judge.Charge) {
		for _, row := range check.List() {
			var cfg check.Config
			cfg.Spray.Since = since
			list = append(list, judge.Charge{Name: row.Name, Mode: judge.Enforce, Check: row.New(cfg, testKey), Reasons: row.Reasons})
		}
		return list
	}
	for name, style := range styles {
		t.Run(name, func(t *testing.T) {
			for old, want := range map[time.Duration]int{0: 0, 8 * 24 * time.Hour: 20} {
				s, list := &scene{}, []caller{}
				for i := range 20 {
					one := style.neighbour(300 * i)
					if style.at.Addr().Is6() {
						b := style.at.Addr().As16()
						b[5] += byte(i)
						one.at = netip.AddrPortFrom(netip.AddrFrom16(b), style.at.Port())
					}
					list = append(list, one)
					for k := range 4 {
						s.login(time.Duration(k)*10*time.Minute+time.Duration(i)*20*time.Second, one, request{method: "REGISTER", user: fmt.Sprint(1000 + 4*i + k)}, "Summer2026", 401, 401)
					}
				}
				r := s.run(t, checks(start.Add(-old)))
				r.Score([]Label{blames(list...)})
				if got := r.Labels[0]; got.Banned != want || len(r.Bans) != want {
					t.Errorf("%v old: %d of 20 banned, want %d: %+v", old, got.Banned, want, r.Bans)
				}
			}
		})
	}
}

// tools are marks of tools, as the lines of a request that hold them.
var tools = map[string]func(text string) string{
	"svmap":     func(text string) string { return strings.Replace(text, "ExamplePhone 4.0", "friendly-scanner", 1) },
	"UPPER":     func(text string) string { return strings.Replace(text, "ExamplePhone 4.0", "FRIENDLY-SCANNER", 1) },
	"sipcli":    func(text string) string { return strings.Replace(text, "ExamplePhone 4.0", "sipcli/v1.8", 1) },
	"pplsip":    func(text string) string { return strings.Replace(text, "ExamplePhone 4.0", "pplsip", 1) },
	"sundayddr": func(text string) string { return strings.Replace(text, "ExamplePhone 4.0", "sundayddr", 1) },
	"Vax":       func(text string) string { return strings.Replace(text, "ExamplePhone 4.0", "VaxSIPUserAgent/3.1", 1) },
	"1.1.1.1": func(text string) string {
		return strings.Replace(text, "From: <sip:1001@example.com>", "From: \"x\" <sip:100@1.1.1.1>", 1)
	},
	"sipvicious": func(text string) string { return strings.Replace(text, "From: <", "From: \"sipvicious\" <", 1) },
	"tag": func(text string) string {
		return strings.Replace(text, "tag=f-", "tag=3130300131323334353637383930\r\nX: ", 1)
	},
	"svcrack": func(text string) string { return strings.Replace(text, "tag=f-", "tag=3206210844\r\nX: ", 1) },
	"nmap": func(text string) string {
		return strings.Replace(text, "From: <sip:1001@example.com>", "From: <sip:nm@nm>", 1)
	},
	"long branch": func(text string) string { return strings.Replace(text, "z9hG4bK-", strings.Repeat("kJ3n", 18), 1) },
}

// TestVariantsOfTools: the marks of tools are found at the first message, however it is written and over whatever it comes.
func TestVariantsOfTools(t *testing.T) {
	for tool, mark := range tools {
		for name, style := range styles {
			for _, method := range []string{"OPTIONS", "REGISTER", "INVITE"} {
				t.Run(tool+"/"+name+"/"+method, func(t *testing.T) {
					s, c := &scene{}, style
					c.agent = ""
					for i := range 5 {
						q := s.next(request{method: method, uri: "sip:100@203.0.113.10"})
						s.says(time.Duration(i)*time.Second, c, mark(q.String()))
					}
					r := found(t, s, 0, c)
					if len(r.Bans) != 1 {
						t.Errorf("bans: %+v", r.Bans)
					}
				})
			}
		}
	}
}

// payloads are texts for databases, shells and templates, as they may stand in the user of a URI.
var payloads = []string{
	"%27%20OR%20%271%27=%271", "'or'1'='1", "admin'--", "1'%20or%201=1--%20", "100';DROP%20TABLE%20subscriber;--", "x'%20UNION%20SELECT%20ha1%20FROM%20subscriber--",
	"%2527%2520or%25201%253d1--", "%27%7C%7C(select%20pg_sleep(9))%7C%7C%27", "1%27;waitfor%20delay%20%270:0:9%27--", "a'%20and%20sleep(9)%23", "%60id%60", "$(id)", "%24%7Bjndi:ldap://x/a%7D",
	"%7B%7B7*7%7D%7D", "%3Cscript%3Ealert(1)%3C/script%3E", "100%00", "x%27/**/union/**/select/**/1",
}

// TestVariantsOfInjection: every payload is turned away, in whichever field it stands, and who sends a few is banned. Odd names are not (n10).
func TestVariantsOfInjection(t *testing.T) {
	for name, style := range styles {
		for _, where := range []string{"to", "from", "uri", "digest"} {
			t.Run(name+"/"+where, func(t *testing.T) {
				s := &scene{}
				for i, p := range payloads {
					q := request{method: "REGISTER", user: "1001"}
					switch where {
					case "to", "from":
						q.user = p
					case "uri":
						q.method, q.uri = "INVITE", "sip:"+p+"@example.com"
					case "digest":
						plain := strings.NewReplacer("%27", "'", "%20", " ", "%7B", "{", "%7D", "}", "%24", "$", "%7C", "|", "%3C", "<", "%3E", ">", "%60", "`").Replace(p)
						q.fields = fmt.Sprintf(credentials, plain, "nonce-that-nobody-gave", "x")
					}
					s.ask(time.Duration(i)*40*time.Minute, style, q, 0)
				}
				r := found(t, s, 0, style)
				if got := r.Sources[0]; int(got.Acted) != len(payloads) {
					t.Errorf("%d of %d are turned away: %v", got.Acted, len(payloads), got.Reasons)
				}
			})
		}
	}
}
