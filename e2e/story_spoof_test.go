package e2e

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/siptest"
)

// spoofed sends datagrams in the name of somebody else, of a rate, whose source is an address and a port (0: any other than those above 60000), and what
// they say (spoofery). It tells when there have been so many, and goes on until it has leave to go.
func (f flood) spoofed() {
	packets, rate := f.numbers[0], f.numbers[1]
	var ip [4]byte
	binary.BigEndian.PutUint32(ip[:], uint32(f.numbers[2]))
	port, named := f.numbers[3], f.numbers[4] == 1
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	to := unix.SockaddrInet4{Addr: f.to.Addr().As4()}
	began, over := time.Now(), atomic.Bool{}
	for i := 0; err == nil && !over.Load(); i++ {
		if i == packets {
			go func() {
				f.done("%d forged packets at %.0f a second", packets, float64(packets)/time.Since(began).Seconds())
				over.Store(true)
			}()
		}
		if due := began.Add(time.Duration(i) * time.Second / time.Duration(rate)); time.Until(due) > time.Millisecond {
			time.Sleep(time.Until(due))
		}
		from := port
		if from == 0 {
			from = 1024 + i%59_000
		}
		err = unix.Sendto(fd, datagram(ip, to.Addr, from, int(f.to.Port()), spoofery(i, named)), 0, &to)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "forge:", err)
		os.Exit(1)
	}
}

// datagram is an IPv4 packet with a UDP datagram. The kernel fills in lengths, identification and checksum of the first; the second does without one.
func datagram(from, to [4]byte, fromPort, toPort int, b []byte) []byte {
	p := make([]byte, 28, 28+len(b))
	p[0], p[8], p[9] = 4<<4|5, 64, unix.IPPROTO_UDP
	copy(p[12:], from[:])
	copy(p[16:], to[:])
	binary.BigEndian.PutUint16(p[20:], uint16(fromPort))
	binary.BigEndian.PutUint16(p[22:], uint16(toPort))
	binary.BigEndian.PutUint16(p[24:], uint16(8+len(b)))
	return append(p, b...)
}

// spoofery is the i-th datagram: a scanner's, one with SQL for a user, and such as a phone may send. named: half of the latter are of the office's own
// user, with no credentials and with wrong ones.
func spoofery(i int, named bool) []byte {
	id, user := "spoof"+strconv.Itoa(i), strconv.Itoa(1000+i%5000)
	if named {
		user = "office"
	}
	with := func(method, user, more string) []byte {
		return fmt.Appendf(nil, "%s sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.20:5060;branch=z9hG4bK%s;rport\r\nFrom: <sip:%s@example.com>;tag=%[2]s\r\n"+
			"To: <sip:%[3]s@example.com>\r\nCall-ID: %[2]s\r\nCSeq: 1 %[1]s\r\nContact: <sip:%[3]s@203.0.113.20:5060>\r\nMax-Forwards: 70\r\n%[4]sContent-Length: 0\r\n\r\n", method, id, user, more)
	}
	switch i % 8 {
	case 0, 1:
		return with("REGISTER", "100", "User-Agent: friendly-scanner\r\n")
	case 2:
		return with("REGISTER", "a'or'3=3--", "")
	case 3:
		return with("INVITE", "1'or'1'='1", "")
	case 4:
		return with("OPTIONS", user, "")
	case 5:
		return with("REGISTER", user, "")
	case 6:
		return with("INVITE", user, "")
	}
	return with("REGISTER", user, `Authorization: Digest username="office", realm="example.com", nonce="`+id+`", uri="sip:example.com", response="`+strings.Repeat("0", 32)+"\", algorithm=MD5\r\n")
}

// A victim is a registered phone in whose name packets are forged.
type victim struct {
	*watched
	forger    *host
	phone     *siptest.UA
	challenge atomic.Pointer[siptest.Received] // of the platform, the last one
	strays    atomic.Int64                     // answers to what was forged
}

// newVictim sets the edge up with every check, a platform that wants credentials for registrations and calls, the victim at the office, and a forger.
func newVictim(t *testing.T) *victim {
	t.Helper()
	v := &victim{watched: newWatched(t)}
	v.phone, v.forger = v.office, v.host("forger", "outside", "203.0.113.66")
	v.registrar.HandleOthers(func(m *siptest.Received) bool {
		switch {
		case m.Method() == "ACK" || m.Method() == "":
		case m.Method() == "INVITE" && !v.registrar.Authorized(m):
			v.registrar.Reply(m, 407, siptest.With("Proxy-Authenticate", fmt.Sprintf(`Digest realm="%s", nonce="%s", algorithm=MD5`, siptest.Realm, siptest.ID())))
		default:
			v.registrar.Reply(m, 200)
		}
		return true
	})
	v.phone.Handle(func(m *siptest.Received) bool {
		if !strings.HasPrefix(m.Get("Call-ID"), "spoof") {
			return false
		}
		v.strays.Add(1)
		return true
	})
	if !v.register() || !v.call() {
		t.Fatal("the phone does not work before anything is forged")
	}
	return v
}

// register refreshes the phone's registration: REGISTER, 401, REGISTER, 200.
func (v *victim) register() bool {
	m := v.phone.Register()
	challenge := transactUntil(v.phone, m, 401)
	if challenge == nil {
		return false
	}
	v.challenge.Store(challenge)
	return transact(v.phone, siptest.Authorize(m, challenge, "office", "right")) != nil
}

// call is a whole call: INVITE, 407, ACK, INVITE, 200, ACK, BYE, 200.
func (v *victim) call() bool {
	m := v.phone.Request("INVITE", "sip:bob@example.com")
	challenge := transactUntil(v.phone, m, 407)
	if challenge == nil {
		return false
	}
	_ = v.phone.TrySend(v.phone.Proxy, "udp", siptest.AckOf(m, challenge).String())
	d := v.invite(m, challenge)
	return d != nil && transact(v.phone, d.Request("BYE")) != nil
}

// asks is OPTIONS, 200.
func (v *victim) asks() bool {
	return transact(v.phone, v.phone.Request("OPTIONS", "sip:bob@example.com")) != nil
}

// invite repeats an INVITE with the answer to a challenge; nil if there is no 200.
func (v *victim) invite(m *siptest.Message, challenge *siptest.Received) *siptest.Dialog {
	m = siptest.Authorize(m, challenge, "office", "right")
	if ok := transact(v.phone, m); ok != nil {
		return acknowledged(v.phone, m, ok)
	}
	return nil
}

// lives lets the phone do what phones do until f is done, and returns how it fared. named: the forger knows its name.
func (v *victim) lives(named bool, f func()) []*probe {
	v.t.Helper()
	s := &siege{T: v.t, edge: v.edge, stop: make(chan struct{}), began: time.Now()}
	up := v.invite(v.phone.Request("INVITE", "sip:bob@example.com"), v.challenge.Load())
	if up == nil {
		v.t.Fatal("no call")
	}
	s.tryEvery(10*time.Millisecond, "in dialog", 100, func() bool { return transact(v.phone, up.Request("INFO")) != nil })
	// A nonce of the platform that is not older than five minutes.
	s.tryEvery(150*time.Millisecond, "INVITE with digest", 99, func() bool {
		return v.invite(v.phone.Request("INVITE", "sip:bob@example.com"), v.challenge.Load()) != nil
	})
	if !named {
		s.tryEvery(6*time.Second, "REGISTER, 401 first", 100, v.register)
		s.tryEvery(6*time.Second, "call, 407 first", 100, v.call)
		s.tryEvery(6*time.Second, "OPTIONS", 100, v.asks)
	}
	f()
	s.fared()
	return s.probes
}

// survives lets packets be forged in the name of the phone, from its own port or any other, after the phone has lived in peace for a while. It is served as before, nobody is banned,
// and the operator is told.
func (v *victim) survives(own, named bool, peace time.Duration, packets, rate int) {
	v.t.Helper()
	before := v.lives(named, func() { time.Sleep(peace) })
	from := v.phone.Addr
	port := 0
	if own {
		port = int(from.Port())
	}
	ip := from.Addr().As4()
	took := v.edge.Counter("ringwall_transport_packets_in_total")
	var f *flooding
	after := v.lives(named, func() {
		f = floodFrom(v.t, v.forger.within(), "spoofed", v.edge.Outside, packets, rate, int(binary.BigEndian.Uint32(ip[:])), port, map[bool]int{true: 1}[named])
		if !named && !(v.register() && v.call() && v.asks()) { // all budgets are used up by now, and the forger goes on
			v.t.Error("the phone does not work while packets are forged")
		}
	})
	f.over()
	v.t.Logf("the phone got %d answers to what was forged", v.strays.Load())
	for i, p := range after {
		if len(p.took) > 0 && len(before[i].took) > 0 {
			v.t.Logf("%-20s p99 grew by %v, median by %v", p.name, p.at(99)-before[i].at(99), p.at(50)-before[i].at(50))
		}
	}
	if n := v.edge.Counter("ringwall_transport_packets_in_total") - took; n < float64(packets)/2 {
		v.t.Errorf("the edge took %.0f of %d packets", n, packets)
	}
	if all := v.bans(); len(all) > 0 {
		v.t.Errorf("banned: %v", all)
	}
	v.edge.WaitLog("spoof suspected: attacks in the name of " + from.Addr().String())
	if !v.register() || !v.call() {
		v.t.Error("the phone does not work afterwards")
	}
}

// TestSpoofedPort is row B1 in little: packets are forged in the name of a registered phone's address, from other ports.
func TestSpoofedPort(t *testing.T) {
	if inWorld(t) {
		newVictim(t).survives(false, false, time.Second, 12_000, 5_000)
	}
}

// TestSpoofedFlow is row B2 in little: from exactly its address and port.
func TestSpoofedFlow(t *testing.T) {
	if inWorld(t) {
		newVictim(t).survives(true, false, time.Second, 12_000, 5_000)
	}
}

// TestSlowSpoofedPort is row B1: 10,000 packets a second for a minute.
func TestSlowSpoofedPort(t *testing.T) {
	slow(t)
	if aloneInWorld(t) {
		newVictim(t).survives(false, false, 20*time.Second, 600_000, 10_000)
	}
}

// TestSlowSpoofedFlow is row B2: 10,000 packets a second for a minute.
func TestSlowSpoofedFlow(t *testing.T) {
	slow(t)
	if aloneInWorld(t) {
		newVictim(t).survives(true, false, 20*time.Second, 600_000, 10_000)
	}
}

// TestSlowSpoofedUser is row B2 where the forger knows the phone's user name, too: then what has a digest and what belongs to a call is served.
func TestSlowSpoofedUser(t *testing.T) {
	slow(t)
	if aloneInWorld(t) {
		newVictim(t).survives(true, true, 20*time.Second, 600_000, 10_000)
	}
}
