package media

import (
	"crypto/hmac"
	"crypto/sha1"
	"net/netip"
	"testing"
)

// newICECall opens a call whose caller does ICE.
func newICECall(t *testing.T, r *Relay) (*call, checker) {
	t.Helper()
	c := newCall(t, r, func(m *Remote) { m.ICE, m.Mux, m.Proven = true, true, true })
	ufrag, pwd := c.OfferICE(Caller, false)
	c.Expect(Caller, c.ends[Caller].remote)
	if len(ufrag) < 4 || len(pwd) < 22 {
		t.Errorf("credentials %q %q: RFC 8445 wants 4 and 22 characters", ufrag, pwd)
	}
	if again, _ := c.OfferICE(Caller, false); again != ufrag {
		t.Errorf("asked again: %s, was %s", again, ufrag)
	}
	return c, checker{username: ufrag + ":far", password: pwd}
}

// With ICE only who has checked with our password is accepted, and media goes to what is nominated.
func TestICE(t *testing.T) {
	c, good := newICECall(t, newRelay(t, nil))
	c.phone.talk(c.Port(Caller), "not checked")
	c.platform.talk(c.Port(Callee), "nowhere yet")
	settled(t, c.Stream, Callee, 1)
	settled(t, c.Stream, Caller, 1)

	c.phone.send(c.Port(Caller), good.request())
	b, from := c.phone.read()
	m, ok := parseSTUN(b)
	if !ok || from != c.Port(Caller) || m.typ != stunSuccess || !m.fingerprint || !m.verify(b, hmac.New(sha1.New, []byte(good.password)), make([]byte, sha1.Size)) {
		t.Fatalf("answer %x", b)
	}
	if string(b[8:20]) != "transaction1" {
		t.Errorf("of transaction %q", b[8:20])
	}
	c.both(t)

	// A better pair is nominated: it gets what is sent; the other may go on sending.
	better := newPhone(t, stranger)
	good.nominate = true
	better.send(c.Port(Caller), good.request())
	better.read()
	c.platform.talk(c.Port(Callee), "nominated")
	better.hears(c.Port(Caller), "nominated")
	c.phone.talk(c.Port(Caller), "also checked")
	c.platform.hears(c.Port(Callee), "also checked")
	if st := c.Stats(Caller); st.Refused[RefusedSource] != 1 || st.Packets != 2 || st.Sending != better.addr() {
		t.Errorf("%+v", st)
	}
}

// Checks that are not right are not answered, let nobody in, and are counted.
func TestICERefuses(t *testing.T) {
	c, good := newICECall(t, newRelay(t, nil))
	bad := []checker{
		{username: good.username},
		{username: good.username, password: "guessed"},
		{username: "far:far", password: good.password},
		{username: good.username[:len(good.username)-4], password: good.password},
		{username: "", password: good.password},
		{username: good.username, password: good.password, plain: true},
		{username: good.username, password: good.password, typ: 0x0011},
		{username: good.username, password: good.password, typ: stunSuccess},
	}
	thief := newPhone(t, stranger)
	for i, b := range bad {
		b.nominate = true
		thief.send(c.Port(Caller), b.request())
		settled(t, c.Stream, Caller, uint64(i+1))
		thief.talk(c.Port(Callee), "in?")
	}
	thief.talk(c.Port(Caller), "in?")
	st := settled(t, c.Stream, Caller, uint64(len(bad)+1))
	if st.Refused[RefusedIntegrity] != 6 || st.Refused[RefusedSTUN] != 2 || st.Refused[RefusedSource] != 1 || st.Sending.IsValid() {
		t.Errorf("%+v", st)
	}
	thief.deaf()
}

// A check may come before the answer that tells of ICE, and RTCP is a component of its own.
func TestICEEarlyAndRTCP(t *testing.T) {
	r := newRelay(t, nil)
	c := newCall(t, r, func(m *Remote) { m.RTP, m.RTCP = netip.AddrPort{}, netip.AddrPort{} })
	ufrag, pwd := c.OfferICE(Caller, false)
	good := checker{username: ufrag + ":far", password: pwd, nominate: true}
	control := newPhone(t, phoneAddr)
	c.phone.send(c.Port(Caller), good.request())
	c.phone.read()
	control.send(next(c.Port(Caller)), good.request())
	control.read()
	c.Expect(Caller, Remote{RTP: netip.MustParseAddrPort("192.168.7.7:4000"), ICE: true})
	c.platform.talk(c.Port(Callee), "at once")
	c.phone.hears(c.Port(Caller), "at once")
	report := []byte{0x80, 201, 0, 1, 0, 0, 0, 1}
	peer := newPhoneAt(t, next(c.platform.addr()))
	peer.send(next(c.Port(Callee)), report)
	if b, from := control.read(); string(b) != string(report) || from != next(c.Port(Caller)) {
		t.Errorf("RTCP %x from %v", b, from)
	}
	if st := c.Stats(Callee); st.RTCP != 1 {
		t.Errorf("%+v", st)
	}
	before, _ := c.OfferICE(Caller, true)
	if before == ufrag {
		t.Error("a restart kept the credentials")
	}
}

// TestICEForgedSource: row F21. Who has the password can forge where his check comes from; nothing goes to what nothing may be sent to.
func TestICEForgedSource(t *testing.T) {
	c, good := newICECall(t, newRelay(t, func(cfg *RelayConfig) {
		cfg.Guard = func(a netip.AddrPort) error {
			if a.Addr() == stranger {
				return errMoved
			}
			return nil
		}
	}))
	victim := newPhone(t, stranger)
	good.nominate = true
	victim.send(c.Port(Caller), good.request())
	st := settled(t, c.Stream, Caller, 1)
	c.platform.talk(c.Port(Callee), "not there")
	settled(t, c.Stream, Callee, 1)
	victim.deaf()
	if st.Refused[RefusedSource] != 1 || c.Stats(Caller).Sending.IsValid() {
		t.Errorf("%+v", st)
	}
	c.phone.send(c.Port(Caller), good.request())
	c.phone.read()
	c.both(t)
}
