package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// TestTLSFlows lets every flow run with a phone on TLS.
func TestTLSFlows(t *testing.T) {
	t.Parallel()
	for _, w := range secures {
		t.Run(w.name, func(t *testing.T) {
			r := newRig(t, w, nil)
			phone, contact := r.registered("alice")
			for range 2 {
				c := r.call(phone)
				r.reinvite(c.platform, c.phone)
				r.reinvite(c.phone, c.platform)
				r.bye(c.phone, c.platform)
				c = r.callIn(contact, phone)
				if via := c.got.All("Via")[0]; !strings.HasPrefix(via, "SIP/2.0/TLS "+r.edge.TLS.String()) {
					t.Errorf("Via %q", via)
				}
				if route := c.got.Get("Record-Route"); !strings.Contains(route, ";transport=tls") {
					t.Errorf("Record-Route %q", route)
				}
				r.bye(c.platform, c.phone)
			}
			_, got := r.invite(phone)
			r.told(got, r.source(phone))
		})
	}
}

// TestTLSToUDP: a phone on TLS and one on UDP call each other through the platform, both ways.
func TestTLSToUDP(t *testing.T) {
	t.Parallel()
	r := newRig(t, secures[0], nil)
	alice := r.phone("alice")
	e := r.edge
	callEachOther(t, r, alice, siptest.NewPhone(t, "bob", "udp", e.UDP.Addr().String(), e.UDP))
}

// callEachOther registers two phones and lets them make four calls through a proxy inside: each of them calls, each of them hangs
// up, and in between each holds the other.
func callEachOther(t *testing.T, r *rig, alice, bob *siptest.UA) {
	t.Helper()
	reg := siptest.NewRegistrar(r.platform, nil)
	reg.ServeProxy()
	r.register(reg, alice)
	r.register(reg, bob)
	for _, pair := range [][2]*siptest.UA{{alice, bob}, {bob, alice}} {
		for calleeEnds := range 2 {
			sent := pair[0].Send(pair[0].Request("INVITE", pair[1].AOR()))
			got := pair[1].Expect("INVITE")
			pair[1].Reply(got, 180)
			pair[0].Expect("180")
			answer := pair[1].Reply(got, 200)
			a, b := pair[0].NewCallerDialog(sent, pair[0].Expect("200 INVITE")), pair[1].NewCalleeDialog(got, answer)
			a.Send("ACK")
			pair[1].Expect("ACK")
			r.holds(b, a)
			r.holds(a, b)
			if calleeEnds == 1 {
				a, b = b, a
			}
			r.bye(a, b)
		}
	}
}

// holds puts the far end of from on hold and takes it up again; what is offered and answered arrives as it was sent.
func (r *rig) holds(from, to *siptest.Dialog) {
	r.Helper()
	for _, offer := range [][2]string{{"sendonly", "recvonly"}, {"sendrecv", "sendrecv"}} {
		sent := from.UA.Send(from.Request("INVITE").WithBody("application/sdp", siptest.SDP+"a="+offer[0]+"\r\n"))
		got := to.UA.Expect("INVITE")
		answer := to.UA.Reply(got, 200, func(m *siptest.Message) { m.WithBody("application/sdp", siptest.SDP+"a="+offer[1]+"\r\n") })
		ok := from.UA.Expect("200 INVITE")
		from.Send("ACK")
		to.UA.Expect("ACK")
		if got.Body != sent.Body || ok.Body != answer.Body {
			r.Errorf("offer %q became %q, answer %q became %q", sent.Body, got.Body, answer.Body, ok.Body)
		}
	}
}

// TestTLSReconnect: a phone's connection breaks in the middle of a call; once it has registered over a new one, the call is where
// the phone is.
func TestTLSReconnect(t *testing.T) {
	t.Parallel()
	reconnect(t, secures[0])
}

func reconnect(t *testing.T, w way) {
	r := newRig(t, w, nil)
	reg := siptest.NewRegistrar(r.platform, nil)
	phone := r.phone("alice")
	contact := r.register(reg, phone)
	c := r.callIn(contact, phone)
	old := c.got.Conn
	phone.Hangup()
	if again := r.register(reg, phone); again != contact {
		t.Errorf("Contact at the registrar %q, then %q", contact, again)
	}
	r.platform.Send(c.platform.Request("BYE"))
	bye := phone.Expect("BYE")
	if bye.Conn == old {
		t.Error("the BYE came over the connection that broke")
	}
	phone.Reply(bye, 200)
	r.platform.Expect("200 BYE")
}

// TestTLSCertificateReplaced: new connections get the new certificate, without a restart and without an end to old connections.
func TestTLSCertificateReplaced(t *testing.T) {
	t.Parallel()
	r := newRig(t, secures[0], nil)
	phone := r.phone("alice")
	c := r.call(phone)
	r.edge.Certificate("new.example.com")
	shown := func() *x509.Certificate {
		conn, err := tls.Dial("tcp", r.edge.TLS.String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0]
	}
	if !siptest.Eventually(func() bool { return shown().VerifyHostname("new.example.com") == nil }) {
		t.Error("the old certificate is still shown")
	}
	r.bye(c.phone, c.platform)
	r.edge.WaitLog("the certificate has changed")
}

// TestTLSRefusals asks with openssl for what is refused.
func TestTLSRefusals(t *testing.T) {
	t.Parallel()
	openssl := siptest.NeedTool(t, "openssl")
	r := newRig(t, secures[0], nil)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := siptest.WriteAuthority(ca); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]bool{
		"-tls1_3": true, "-tls1_2": true, "-alpn sip": true, "-alpn x": true, "-servername a.b": true,
		"-tls1_1 -cipher DEFAULT@SECLEVEL=0": false, "-tls1 -cipher DEFAULT@SECLEVEL=0": false,
		"-tls1_2 -cipher NULL:DEFAULT@SECLEVEL=0 -cipher RC4": false,
	} {
		all := append([]string{"s_client", "-connect", r.edge.TLS.String(), "-CAfile", ca, "-verify_return_error"}, strings.Fields(args)...)
		out, err := exec.Command(openssl, all...).CombinedOutput() // its stdin is empty: it ends after the handshake
		if (err == nil) != want {
			t.Errorf("openssl s_client %s: %v\n%s", args, err, out)
		}
	}
	r.works(r.phone("alice"))
}

// TestBaresipTLS: a real phone on TLS and one on UDP call each other at the demonstration platform, past a refresh of both
// registrations.
func TestBaresipTLS(t *testing.T) {
	t.Parallel()
	siptest.NeedTool(t, "baresip")
	e := siptest.StartEdge(t, siptest.Outlets{Secure: true}, siptest.Keys{"upstreams": "[]"})
	alice, bob := newBaresip(t, "alice"), newBaresip(t, "bob")
	account := strings.Replace(promised(t, e, "alice", "tls"), e.Outside.String(), e.TLS.String(), 1)
	alice.register(account + ";answermode=auto;regint=10")
	bob.register(promised(t, e, "bob", "udp") + ";answermode=auto;regint=10")
	callBothWays(alice, bob)
	bob.connect(alice)
	refreshed(alice, bob)
	alice.hangup(bob)
	unsuspected(t, e)
	if n := e.Counter("ringwall_transport_handshakes_total"); n < 1 {
		t.Errorf("%v handshakes", n)
	}
}

// TestTLSHalfHandshakes (S34): 200 half handshakes do not keep a phone from calling, and each is closed after 5 s.
func TestTLSHalfHandshakes(t *testing.T) {
	r := newRig(t, secures[0], nil)
	var half []net.Conn
	began := time.Now()
	for i := range 200 {
		from := net.TCPAddr{IP: net.ParseIP(fmt.Sprintf("127.0.77.%d", 1+i/50))}
		c, err := (&net.Dialer{LocalAddr: &from}).Dial("tcp", r.edge.TLS.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i%2 == 0 {
			fmt.Fprint(c, "\x16\x03\x01\x02\x00")
		}
		half = append(half, c)
	}
	r.works(r.phone("alice"))
	for i, c := range half {
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("a half handshake stays open")
		}
		if took := time.Since(began); i == 0 && took < 4*time.Second {
			t.Errorf("the first is closed after %v", took)
		}
	}
	if took := time.Since(began); took > 15*time.Second { // 5 s, and what a busy machine does late
		t.Errorf("the last is closed after %v", took)
	}
}
