package transport

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// An aliasRig is a Server that knows one destination, peer.example at 127.0.0.1, and clients that say to be it.
type aliasRig struct {
	*testing.T
	*Server
	stage       stage
	good, other *authority // the destination's, and one that the listener believes, too
	destination Destination
	identity    Identity
	clients     int
}

func newAliasRig(t *testing.T) *aliasRig {
	r := &aliasRig{T: t, good: newAuthority(t), other: newAuthority(t)}
	r.destination = tlsServer(t, r.good.issue(t, "peer", "sip:peer.example"), Source{})
	cfg := oneTLS(t, r.good, "127.0.0.1:0")
	var both []byte
	for _, a := range []*authority{r.good, r.other} {
		text, err := os.ReadFile(a.file(t).String())
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, text...)
	}
	cfg.TLS.ClientCertificates, cfg.TLS.ClientCA = Ask, Text("both", string(both))
	r.identity = Identity{ServerName: "peer.example", CA: r.good.file(t)}
	cfg.TLS.Identities = map[Destination]Identity{r.destination: r.identity}
	r.Server = serve(t, cfg, &r.stage)
	return r
}

// client connects from an address with a certificate of by for names (none: without) and returns its flow.
func (r *aliasRig) client(from string, by *authority, names ...string) (*tls.Conn, edge.Flow) {
	r.Helper()
	cfg := &tls.Config{RootCAs: r.good.pool, ServerName: "sip.example.com"}
	if len(names) > 0 {
		r.clients++
		pair, err := by.issue(r.T, fmt.Sprint("client", r.clients), names...).Load()
		if err != nil {
			r.Fatal(err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	d := &tls.Dialer{NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}, Config: cfg}
	c, err := d.Dial("tcp", r.Listeners()[0].Addr.String())
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(c, message("hello", 0))
	return c.(*tls.Conn), r.stage.next(r.T, "receive").flow
}

// toPeer sends a request to the destination.
func (r *aliasRig) toPeer(id string) {
	r.Helper()
	o := r.NewOut()
	if err := o.Send([]byte(message(id, 0)), edge.Flow{Remote: r.destination.Addr, Transport: edge.TLS}); err != nil {
		r.Fatal(err)
	}
	o.Flush()
}

func TestAlias(t *testing.T) {
	for _, host := range []string{"peer.example", "PEER.example.", "127.0.0.1"} {
		r := newAliasRig(t)
		c, flow := r.client("127.0.0.1", r.good, "sip:peer.example")
		port := r.destination.Addr.Port()
		for range 2 {
			if !r.Alias(flow, []byte(host), port) {
				t.Fatalf("%s: no alias", host)
			}
		}
		r.toPeer("reuse")
		if got := readAll(t, c, len(message("reuse", 0))); got != message("reuse", 0) {
			t.Errorf("over the connection came %q", got)
		}
		if n := r.Counters(); n.Dialed != 0 || n.Aliases != 1 {
			t.Errorf("dialled %d, aliases %d", n.Dialed, n.Aliases)
		}
		if r.Alias(flow, []byte(host), port+1) {
			t.Error("one connection got two aliases")
		}
		c.Close() // from now on the server itself, which echoes
		eventually(t, "the connection is forgotten", func() bool { return !r.Alive(flow) })
		r.toPeer("dialled")
		if got := r.stage.next(t, "receive"); got.flow.Remote != r.destination.Addr {
			t.Errorf("answer from %v", got.flow.Remote)
		}
	}
}

// Who is not surely the destination gets nothing (RFC 5923 §9).
func TestAliasRefused(t *testing.T) {
	r := newAliasRig(t)
	port := r.destination.Addr.Port()
	for _, c := range []struct {
		what, from string
		by         *authority
		names      []string
		host       string
		port       uint16
	}{
		{"no certificate", "127.0.0.1", r.good, nil, "peer.example", port},
		{"a certificate for another name", "127.0.0.1", r.good, []string{"sip:other.example"}, "peer.example", port},
		{"a wildcard", "127.0.0.1", r.good, []string{"dns:*.example"}, "peer.example", port},
		{"a certificate for a person", "127.0.0.1", r.good, []string{"sip:alice@peer.example"}, "peer.example", port},
		{"another authority that the listener believes", "127.0.0.1", r.other, []string{"sip:peer.example"}, "peer.example", port},
		{"another address", "127.0.0.2", r.good, []string{"sip:peer.example"}, "peer.example", port},
		{"another host", "127.0.0.1", r.good, []string{"sip:peer.example"}, "other.example", port},
		{"another host's address", "127.0.0.1", r.good, []string{"sip:peer.example"}, "127.0.0.2", port},
		{"another port", "127.0.0.1", r.good, []string{"sip:peer.example"}, "peer.example", port + 1},
		{"the default port", "127.0.0.1", r.good, []string{"sip:peer.example"}, "peer.example", 0},
	} {
		_, flow := r.client(c.from, c.by, c.names...)
		if r.Alias(flow, []byte(c.host), c.port) {
			t.Errorf("%s: granted", c.what)
		}
	}
	c, flow := r.client("127.0.0.1", r.good, "sip:peer.example")
	for what, f := range map[string]edge.Flow{
		"TCP": {Remote: flow.Remote, Conn: flow.Conn, Transport: edge.TCP}, "WSS": {Remote: flow.Remote, Conn: flow.Conn, Transport: edge.WSS},
		"no connection":      {Remote: flow.Remote, Transport: edge.TLS},
		"somebody else's":    {Remote: netip.AddrPortFrom(flow.Remote.Addr(), 1), Conn: flow.Conn, Transport: edge.TLS},
		"the wrong listener": {Remote: flow.Remote, Conn: flow.Conn, Transport: edge.TLS, Listener: 1},
	} {
		if r.Alias(f, []byte("peer.example"), port) {
			t.Errorf("%s: granted", what)
		}
	}
	r.toPeer("first") // a connection of ours stays the one
	dialled := r.stage.next(t, "receive").flow
	if r.Alias(flow, []byte("peer.example"), port) || r.Alias(dialled, []byte("peer.example"), port) {
		t.Error("an alias took over from a connection of ours")
	}
	c.Close()
	if n := r.Counters().Aliases; n != 0 {
		t.Errorf("%d aliases", n)
	}
}

// An alias ends when the identity that it fulfilled does, and the connection goes on.
func TestAliasEndsWithIdentity(t *testing.T) {
	r := newAliasRig(t)
	_, flow := r.client("127.0.0.1", r.good, "sip:peer.example")
	if !r.Alias(flow, []byte("peer.example"), r.destination.Addr.Port()) {
		t.Fatal("no alias")
	}
	if err := r.SetIdentities(map[Destination]Identity{r.destination: {ServerName: "peer.example", CA: r.other.file(t)}}); err != nil {
		t.Fatal(err)
	}
	if !r.Alive(flow) {
		t.Error("the connection was closed")
	}
	r.toPeer("again")
	if got := r.stage.next(t, "undelivered"); got.flow.Remote != r.destination.Addr {
		t.Errorf("sent over %v", got.flow)
	}
}

// What an aliased connection loses is told under the name by which it was sent.
func TestAliasUndelivered(t *testing.T) {
	r := newAliasRig(t)
	_, flow := r.client("127.0.0.1", r.good, "sip:peer.example")
	if !r.Alias(flow, []byte("peer.example"), r.destination.Addr.Port()) {
		t.Fatal("no alias")
	}
	at := r.conns.find(flow)
	if err := at.enqueue([]byte(message("lost", 0))); err != nil { // nobody writes it
		t.Fatal(err)
	}
	at.close(errClosed)
	if first, second := r.stage.next(t, "undelivered"), r.stage.next(t, "undelivered"); first.flow != flow || second.flow.Remote != r.destination.Addr {
		t.Errorf("told of %v and %v", first.flow, second.flow)
	}
}

func TestCertified(t *testing.T) {
	a := newAuthority(t)
	d := newDialler(t)
	to, plain := Destination{edge.Outside, addr("127.0.0.1:5061")}, Destination{edge.Outside, addr("127.0.0.2:5061")}
	d.identities(map[Destination]Identity{to: {CA: a.file(t), Own: a.issue(t, "client", "sip:us")}, plain: {CA: a.file(t)}})
	o := d.NewOut()
	for flow, want := range map[edge.Flow]bool{
		{Remote: to.Addr, Transport: edge.TLS}: true, {Remote: plain.Addr, Transport: edge.TLS}: false, {Remote: to.Addr, Transport: edge.TCP}: false,
		{Remote: to.Addr, Transport: edge.TLS, Side: edge.Inside}: false, {Remote: to.Addr, Transport: edge.TLS, Conn: 7}: false,
	} {
		if o.Certified(flow) != want {
			t.Errorf("%+v: want %v", flow, want)
		}
	}
}
