package siptest

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/miekg/dns"
)

// A Nameserver is a DNS server on loopback, UDP only, that knows the records it was told and no others.
type Nameserver struct {
	Addr netip.AddrPort

	t      testing.TB
	server *dns.Server
	close  func()

	mu      sync.Mutex
	records map[string][]dns.RR // by name and type
}

// NewNameserver starts one with records in master file form. It ends with the test.
func NewNameserver(t testing.TB, records ...string) *Nameserver {
	t.Helper()
	addr, err := FreeAddr(OwnIP())
	if err != nil {
		t.Fatal(err)
	}
	socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
	if err != nil {
		t.Fatal(err)
	}
	n := &Nameserver{Addr: addr, t: t}
	n.Set(records...)
	n.server = &dns.Server{PacketConn: socket, Handler: dns.HandlerFunc(n.answer)}
	started, ended := make(chan struct{}), make(chan struct{})
	n.server.NotifyStartedFunc = func() { close(started) }
	go func() { defer close(ended); _ = n.server.ActivateAndServe() }()
	<-started
	n.close = sync.OnceFunc(func() { _ = n.server.Shutdown(); <-ended })
	t.Cleanup(n.close)
	return n
}

// nothing says that what there is not may be there in a second (RFC 2308).
var nothing = &dns.SOA{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 1}, Ns: ".", Mbox: ".", Minttl: 1}

// Close ends the server: who asks it from now on learns that nobody is there.
func (n *Nameserver) Close() { n.close() }

// Set replaces all records.
func (n *Nameserver) Set(records ...string) {
	n.t.Helper()
	all := map[string][]dns.RR{}
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			n.t.Fatalf("%s: %v", text, err)
		}
		at := key(rr.Header().Name, rr.Header().Rrtype)
		all[at] = append(all[at], rr)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.records = all
}

func key(name string, kind uint16) string { return fmt.Sprint(dns.CanonicalName(name), kind) }

func (n *Nameserver) answer(w dns.ResponseWriter, m *dns.Msg) {
	answer := new(dns.Msg).SetReply(m)
	answer.RecursionAvailable = true
	if len(m.Question) == 1 {
		n.mu.Lock()
		answer.Answer = n.records[key(m.Question[0].Name, m.Question[0].Qtype)]
		n.mu.Unlock()
	}
	if len(answer.Answer) == 0 {
		answer.Ns = []dns.RR{nothing}
	}
	_ = w.WriteMsg(answer) // who asked may be gone
}

// asking makes cmd run where /etc/resolv.conf names server: in a mount namespace of its own, for which it needs root or, where
// users may make them, a user namespace.
func (e *Edge) asking(server netip.AddrPort, cmd *exec.Cmd) {
	file := filepath.Join(e.State, "resolv.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, "nameserver %v\n", server), 0o644); err != nil {
		e.t.Fatal(err)
	}
	shell, err := exec.LookPath("sh")
	if err != nil {
		e.t.Fatal(err)
	}
	cmd.Args = append([]string{"sh", "-c", `mount --bind "$0" /etc/resolv.conf && exec "$@"`, file, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = shell
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if id := os.Getuid(); id != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{HostID: id, Size: 1}}, GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}}
	}
}
