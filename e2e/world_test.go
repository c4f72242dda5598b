package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/siptest"
)

// A world is a machine with two networks, outside and inside, and further hosts on them, each in a network namespace of its own. The
// test itself and the edge run on the machine. No root is needed where users may make namespaces.
type world struct{ t *testing.T }

// The machine's addresses.
const (
	worldOutside = "203.0.113.5"
	worldInside  = "10.77.0.1"
)

// worldMark is set in the environment of a test that runs in a world.
const worldMark = "RINGWALL_E2E_WORLD"

// inWorld reports whether the test runs on the machine of a world of its own. If not, it lets the test run once more on one, beside others,
// which must pass there; the caller is to return then.
func inWorld(t *testing.T) bool {
	t.Helper()
	if os.Getenv(worldMark) == "" {
		t.Parallel()
	}
	return aloneInWorld(t)
}

// aloneInWorld is inWorld for what wants the processors for itself.
func aloneInWorld(t *testing.T) bool {
	t.Helper()
	return elsewhere(t, "--map-root-user", "--net", "--mount")
}

// inRealWorld is inWorld for what the kernel grants only to the real root, such as programs in its network path.
func inRealWorld(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() != 0 {
		siptest.Missing(t, "root")
	}
	if os.Getenv(worldMark) == "" {
		t.Parallel()
	}
	return elsewhere(t, "--net", "--mount")
}

// elsewhere runs the test in namespaces that unshare makes with these flags, and reports whether this is there.
func elsewhere(t *testing.T, flags ...string) bool {
	t.Helper()
	if os.Getenv(worldMark) != "" {
		return true
	}
	siptest.NeedTool(t, "ip")
	siptest.NeedTool(t, "nsenter")
	alone := append([]string{siptest.NeedTool(t, "unshare")}, flags...)
	if out, err := exec.Command(alone[0], append(alone[1:], "true")...).CombinedOutput(); err != nil {
		siptest.Missing(t, fmt.Sprintf("namespaces of its own: %v: %s", err, out))
	}
	cmd := exec.Command(alone[0], append(alone[1:], os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v", "-test.timeout", "2m")...)
	cmd.Env = append(os.Environ(), worldMark+"=1", "RINGWALL_BINARY="+siptest.Binary(t))
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("in a network of its own: %v\n%s", err, out)
	}
	t.Logf("in a network of its own:\n%s", out)
	return false
}

// newWorld sets the machine's networks up.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t}
	w.run("mount -t tmpfs tmpfs /run") // where ip keeps its namespaces
	w.run("ip link set lo up")
	for network, addr := range map[string]string{"outside": worldOutside, "inside": worldInside} {
		// With a MAC address of its own a bridge does not change it when a host joins, which the others would not notice.
		w.run("ip link add " + network + " address 02:00:00:00:00:01 type bridge")
		w.run("ip addr add " + addr + "/24 dev " + network)
		w.run("ip link set " + network + " up")
	}
	return w
}

// run runs a command, which must succeed.
func (w *world) run(command string) {
	w.t.Helper()
	args := strings.Fields(command)
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		w.t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

// A host is one more machine of a world.
type host struct {
	*world
	name string
	addr netip.Addr
}

// host puts a machine with an address into a network.
func (w *world) host(name, network, addr string) *host {
	w.t.Helper()
	w.run("ip netns add " + name)
	w.run("ip link add to-" + name + " type veth peer name eth0 netns " + name)
	w.run("ip link set to-" + name + " master " + network + " up")
	w.run("ip -n " + name + " link set lo up")
	length := "/24"
	if strings.Contains(addr, ":") {
		length = "/32 nodad" // of 2001:db8::/32, and usable at once
	}
	w.run("ip -n " + name + " addr add " + addr + length + " dev eth0")
	w.run("ip -n " + name + " link set eth0 up")
	return &host{w, name, netip.MustParseAddr(addr)}
}

// namespace is the file that stands for the host's.
func (h *host) namespace() string { return "/run/netns/" + h.name }

// within is a command that runs another one on the host.
func (h *host) within() []string { return []string{"nsenter", "--net=" + h.namespace()} }

// do calls f on the host: sockets that f opens, on its own goroutine, are the host's.
func (h *host) do(f func()) {
	h.t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		h.t.Fatal(err)
	}
	defer home.Close()
	there, err := os.Open(h.namespace())
	if err != nil {
		h.t.Fatal(err)
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		h.t.Fatalf("go to %s: %v", h.name, err)
	}
	defer func() {
		if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil {
			panic(fmt.Sprintf("come back from %s: %v", h.name, err)) // this thread is of no more use
		}
	}()
	f()
}

// platform is a platform on the host.
func (h *host) platform(user string) (ua *siptest.UA) {
	h.t.Helper()
	h.do(func() { ua = siptest.NewPlatform(h.t, "udp", h.addr.String()) })
	ua.User = user
	return ua
}

// phone is a phone on the host that sends to proxy. If it does not speak UDP it has a connection there.
func (h *host) phone(user, transport string, proxy netip.AddrPort) (ua *siptest.UA) {
	h.t.Helper()
	h.do(func() {
		ua = siptest.NewPhone(h.t, user, transport, h.addr.String(), proxy)
		if transport == "udp" {
			return
		}
		if _, err := ua.Dial(proxy); err != nil {
			h.t.Fatal(err)
		}
	})
	return ua
}
