package demo

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestRegisterWithEachAlgorithm(t *testing.T) {
	p := startPlatform(t, nil)
	for _, network := range []string{"udp", "tcp"} {
		for _, a := range p.Accounts() {
			t.Run(network+" "+a.User, func(t *testing.T) {
				ph := newPhone(t, p, a.User, network)
				l := ph.newLeg(a.User)
				ph.send("REGISTER", l, "")
				challenge := ph.want("SIP/2.0 401")
				if got := quoted(field(challenge, "WWW-Authenticate"), "algorithm"); got != a.Algorithm {
					t.Errorf("algorithm %q, want %q", got, a.Algorithm)
				}
				if got := quoted(field(challenge, "WWW-Authenticate"), "qop"); got != "auth" {
					t.Errorf("qop %q", got)
				}
				ph.authorize(challenge, "REGISTER", l.uri)
				ph.send("REGISTER", l, "")
				ok := ph.want("SIP/2.0 200")
				if !strings.Contains(ok, ph.contact()+";expires=3600\r\n") {
					t.Errorf("own Contact is not in\n%s", ok)
				}
			})
		}
	}
}

func TestRefusedCredentials(t *testing.T) {
	p := startPlatform(t, nil)
	tests := []struct{ name, user, password string }{
		{"wrong password", "alice", "guess"},
		{"wrong password, SHA-256", "carol", "guess"},
		{"no such user", "mallory", "guess"},
		{"no such user, empty password", "mallory", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ph := newPhone(t, p, tt.user, "udp")
			ph.password = tt.password
			for method, status := range map[string]string{"REGISTER": "401", "INVITE": "407"} {
				m := ph.ask(method, ph.newLeg("600"), "")
				if !strings.HasPrefix(m, "SIP/2.0 "+status) || strings.Contains(m, "stale") {
					t.Errorf("%s: got\n%s", method, m)
				}
				if method == "INVITE" {
					ph.drain()
				}
			}
		})
	}
}

// drain ends the retransmissions of a refusal that the test does not acknowledge: by a new port.
func (ph *phone) drain() {
	fresh := newPhone(ph.t, ph.p, ph.user, "udp")
	ph.Conn, ph.in = fresh.Conn, fresh.in
}

func TestCredentialsOfAnotherUser(t *testing.T) {
	p := startPlatform(t, nil)
	bob := newPhone(t, p, "bob", "udp")
	l := bob.newLeg("alice") // To names alice: bob may not register for her
	bob.send("REGISTER", l, "")
	m := bob.want("SIP/2.0 401")
	bob.authorize(m, "REGISTER", l.uri)
	bob.send("REGISTER", l, "")
	bob.want("SIP/2.0 401")
}

func TestNonce(t *testing.T) {
	p := startPlatform(t, nil)
	now := time.Now()
	nonce := p.newNonce(now)
	forged := "A" + nonce[1:]
	if nonce[0] == 'A' {
		forged = "B" + nonce[1:]
	}
	tests := []struct {
		name  string
		nonce string
		at    time.Time
		want  nonceState
	}{
		{"fresh", nonce, now, nonceFresh},
		{"at the limit", nonce, now.Add(p.cfg.timing.nonce - time.Second), nonceFresh},
		{"old", nonce, now.Add(p.cfg.timing.nonce + time.Second), nonceStale},
		{"other time, same hash", forged, now, nonceForeign},
		{"empty", "", now, nonceForeign},
		{"short", nonce[:10], now, nonceForeign},
		{"not base64", strings.Repeat("!", len(nonce)), now, nonceForeign},
	}
	for _, tt := range tests {
		if got := p.checkNonce([]byte(tt.nonce), tt.at); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestStaleNonce(t *testing.T) {
	p := startPlatform(t, func(c *timing) { c.nonce = time.Nanosecond })
	alice := newPhone(t, p, "alice", "udp")
	m := alice.ask("REGISTER", alice.newLeg("alice"), "")
	if !strings.HasPrefix(m, "SIP/2.0 401") || quoted(field(m, "WWW-Authenticate"), "stale") != "true" {
		t.Errorf("right password, old nonce:\n%s", m)
	}
	alice.password = "guess"
	if m = alice.ask("REGISTER", alice.newLeg("alice"), ""); strings.Contains(m, "stale") {
		t.Errorf("wrong password, old nonce:\n%s", m)
	}
}

func TestBindings(t *testing.T) {
	p := startPlatform(t, nil)
	one, two := newPhone(t, p, "alice", "udp"), newPhone(t, p, "alice", "udp")
	one.register()
	two.register()

	expect := func(name, got string, contacts ...string) {
		t.Helper()
		all := strings.Join(fields(got, "Contact"), "\n")
		if !strings.HasPrefix(got, "SIP/2.0 200") || len(fields(got, "Contact")) != len(contacts) {
			t.Fatalf("%s:\n%s", name, got)
		}
		for _, c := range contacts {
			if !strings.Contains(all, c) {
				t.Errorf("%s: no %s in\n%s", name, c, got)
			}
		}
	}
	// register sends contact lines instead of the phone's own.
	register := func(ph *phone, contacts string) string {
		t.Helper()
		l := ph.newLeg("alice")
		ph.send("REGISTER", l, "")
		ph.authorize(ph.want("SIP/2.0 401"), "REGISTER", l.uri)
		ph.seq++
		l.cseq++
		ph.put(fmt.Sprintf("REGISTER %s SIP/2.0\nVia: SIP/2.0/UDP %s;branch=z9hG4bKx%d;rport\nFrom: <sip:alice@demo>;tag=1\nTo: %s\nCall-ID: %s\nCSeq: %d REGISTER\n%s%s",
			l.uri, ph.local(), ph.seq, l.to, l.callID, l.cseq, ph.auth, contacts), "")
		ph.auth = ""
		return ph.want("SIP/2.0")
	}
	expect("fetch", register(one, ""), one.contact(), two.contact())
	expect("remove one", register(one, "Contact: "+one.contact()+";expires=0\n"), two.contact())
	expect("refresh", register(two, "Contact: "+two.contact()+"\nExpires: 60\n"), two.contact()+";expires=60")
	expect("parameters", register(two, "Contact: "+two.contact()+";reg-id=1; EXPIRES=70 ;+sip.instance=\"<urn:x;y>\"\n"),
		two.contact()+";expires=70;reg-id=1;+sip.instance=\"<urn:x;y>\"")
	if m := register(one, "Contact: "+one.contact()+";expires=3\n"); !strings.HasPrefix(m, "SIP/2.0 423") || field(m, "Min-Expires") != "10" {
		t.Errorf("3 seconds:\n%s", m)
	}
	if m := register(one, "Contact: *\n"); !strings.HasPrefix(m, "SIP/2.0 400") {
		t.Errorf("* without Expires: 0:\n%s", m)
	}
	if m := register(one, "Contact: <sip:alice@"+p.Addr().String()+">\n"); !strings.HasPrefix(m, "SIP/2.0 403") {
		t.Errorf("Contact is the platform:\n%s", m)
	}
	if m := register(one, "Contact: <sip:alice@224.0.0.1>\n"); !strings.HasPrefix(m, "SIP/2.0 403") {
		t.Errorf("multicast Contact:\n%s", m)
	}
	if m := register(one, "Contact: <sip:a@127.0.0.1:1>, <sip:b@127.0.0.1:1>\nContact: <sip:c@127.0.0.1:1>,<sip:d@127.0.0.1:1>,<sip:e@127.0.0.1:1>,<sip:f@127.0.0.1:1>,<sip:g@127.0.0.1:1>,<sip:h@127.0.0.1:1>\n"); !strings.HasPrefix(m, "SIP/2.0 403") {
		t.Errorf("nine Contacts:\n%s", m)
	}
	expect("all or nothing", register(one, ""), two.contact())
	expect("remove all", register(one, "Contact: *\nExpires: 0\n"))
}

func TestBindingExpires(t *testing.T) {
	p := startPlatform(t, nil)
	now := time.Now()
	p.aors["alice"] = []binding{{uri: "sip:old@127.0.0.1", expires: now}, {uri: "sip:new@127.0.0.1", expires: now.Add(time.Second)}}
	if got := p.live("alice", now); len(got) != 1 || got[0].uri != "sip:new@127.0.0.1" {
		t.Errorf("live: %v", got)
	}
}

func TestRegisterOutOfOrder(t *testing.T) {
	p := startPlatform(t, nil)
	alice := newPhone(t, p, "alice", "udp")
	l := alice.newLeg("alice")
	if m := alice.ask("REGISTER", l, ""); !strings.HasPrefix(m, "SIP/2.0 200") {
		t.Fatal(m)
	}
	l.cseq -= 2 // the CSeq of the challenged one comes again, now with credentials
	alice.send("REGISTER", l, "")
	alice.authorize(alice.want("SIP/2.0 401"), "REGISTER", l.uri)
	l.cseq--
	alice.send("REGISTER", l, "")
	alice.want("SIP/2.0 500")
}
