package rounds

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/ringwall/ringwall/bench/voice"
)

// A MediaSystem is something that relays media and can be measured.
type MediaSystem interface {
	// Name is the system's name in tables.
	Name() string
	// StartMedia starts it on processors cpus and returns when it takes streams.
	StartMedia(ctx context.Context, cpus []int) (*Process, error)
}

// VoiceConfig says what to measure of media systems.
type VoiceConfig struct {
	Systems []MediaSystem // the first one is what the others are compared with
	Streams int           // calls at once, each 50 packets a second both ways
}

// oneVoice measures one media system once.
func oneVoice(ctx context.Context, cfg *Config, s MediaSystem, round int) (r Result, err error) {
	g, err := voice.New(cfg.Voice.Streams)
	if err != nil {
		return r, err
	}
	defer g.Close()
	p, err := s.StartMedia(ctx, cfg.CPUs)
	if err != nil {
		return r, err
	}
	for i := range cfg.Voice.Streams {
		a, b := g.Ends(i)
		toA, toB, openErr := p.open(i, a, b)
		if openErr != nil {
			_, stopErr := p.Stop()
			return r, errors.Join(fmt.Errorf("open stream %d: %w", i, openErr), stopErr)
		}
		g.Aim(i, toA, toB)
	}
	return measured(ctx, cfg, g, p, s.Name(), round)
}

// Ports that media systems are given; the addresses are those of all systems.
const firstMediaPort, lastMediaPort = 20000, 31999

// Relay is ringwall's media relay alone, in a process of its own.
type Relay struct {
	Command  []string      // program and arguments in front of the flags -outside, -inside, -first, -last, -coalesce
	Coalesce time.Duration // media.RelayConfig.Coalesce
}

// Name implements MediaSystem.
func (r Relay) Name() string {
	if r.Coalesce > 0 {
		return "ringwall-coalescing"
	}
	return "ringwall"
}

// StartMedia implements MediaSystem.
func (r Relay) StartMedia(ctx context.Context, cpus []int) (*Process, error) {
	args := append(r.Command[1:len(r.Command):len(r.Command)], "-outside", loopback.Outside.String(), "-inside", loopback.Inside.String(),
		"-first", strconv.Itoa(firstMediaPort), "-last", strconv.Itoa(lastMediaPort), "-coalesce", r.Coalesce.String())
	cmd := exec.Command(r.Command[0], args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start the relay: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start the relay: %w", err)
	}
	p, err := startProcess(ctx, loopback, cmd, cpus, "ready")
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	p.open = func(_ int, a, b netip.AddrPort) (toA, toB netip.AddrPort, err error) {
		fmt.Fprintf(in, "%v %v\n", a, b)
		if !lines.Scan() {
			return toA, toB, fmt.Errorf("the relay ended: %w", io.ErrUnexpectedEOF)
		}
		_, err = fmt.Sscan(lines.Text(), textAddr{&toA}, textAddr{&toB})
		return toA, toB, err
	}
	return p, nil
}

// A textAddr scans an address and port.
type textAddr struct{ to *netip.AddrPort }

// Scan implements fmt.Scanner.
func (t textAddr) Scan(s fmt.ScanState, _ rune) error {
	token, err := s.Token(true, nil)
	if err == nil {
		*t.to, err = netip.ParseAddrPort(string(token))
	}
	return err
}

// Rtpengine is the best-known relay, in user space: its kernel module is not loaded. It is told of streams by its NG protocol.
type Rtpengine struct {
	Binary string // default: rtpengine, from the path
}

// Name implements MediaSystem.
func (Rtpengine) Name() string { return "rtpengine" }

func (e Rtpengine) binary() string {
	if e.Binary == "" {
		return "rtpengine"
	}
	return e.Binary
}

// args are the command line's arguments; control is where it takes orders. As many threads as there are processors, as by default, would be one.
func (e Rtpengine) args(control netip.AddrPort) []string {
	return []string{"--foreground", "--log-stderr", "--log-level=6", "--table=-1", "--num-threads=2", "--interface=out/" + loopback.Outside.String(), "--interface=in/" + loopback.Inside.String(),
		"--listen-ng=" + control.String(), "--port-min=" + strconv.Itoa(firstMediaPort), "--port-max=" + strconv.Itoa(lastMediaPort)}
}

// CommandLine is how it is started.
func (e Rtpengine) CommandLine() string {
	return e.binary() + " " + strings.Join(e.args(netip.MustParseAddrPort("127.0.0.1:2223")), " ")
}

// Version is what the binary calls itself.
func (e Rtpengine) Version(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, e.binary(), "--version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("ask rtpengine for its version: %w", err)
	}
	return "rtpengine " + strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(string(out)), "Version:")), nil
}

// StartMedia implements MediaSystem.
func (e Rtpengine) StartMedia(ctx context.Context, cpus []int) (*Process, error) {
	control, err := loopback.freePort("udp4", netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	if err != nil {
		return nil, err
	}
	p, err := startProcess(ctx, loopback, exec.Command(e.binary(), e.args(control)...), cpus, "Startup complete")
	if err != nil {
		return nil, err
	}
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(control))
	if err != nil {
		p.kill()
		return nil, fmt.Errorf("talk to rtpengine: %w", err)
	}
	p.clean = func() { conn.Close() }
	p.open = func(i int, a, b netip.AddrPort) (toA, toB netip.AddrPort, err error) {
		if toB, err = order(conn, i, "offer", a); err == nil {
			toA, err = order(conn, i, "answer", b)
		}
		return toA, toB, err
	}
	return p, nil
}

// mediaLine finds the address and the port in a description that rtpengine wrote.
var mediaLine = regexp.MustCompile(`c=IN IP4 ([0-9.]+)\r\n(?:[^m].*\r\n)*m=audio (\d+) |m=audio (\d+) .*\r\n(?:[^m].*\r\n)*?c=IN IP4 ([0-9.]+)\r\n`)

// order sends rtpengine the offer or answer of call i, which names at, and returns the address and port in what it makes of that.
func order(conn *net.UDPConn, i int, verb string, at netip.AddrPort) (netip.AddrPort, error) {
	sdp := fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 %[1]s\r\ns=-\r\nc=IN IP4 %[1]s\r\nt=0 0\r\nm=audio %[2]d RTP/AVP 0\r\n", at.Addr(), at.Port())
	var b strings.Builder
	write := func(words ...string) {
		for _, w := range words {
			fmt.Fprintf(&b, "%d:%s", len(w), w)
		}
	}
	fmt.Fprintf(&b, "%d_%s d", i, verb)
	write("command", verb, "call-id", fmt.Sprint("call", i), "from-tag", "a")
	if verb == "answer" {
		write("to-tag", "b")
	} else {
		write("direction")
		b.WriteString("l3:out2:ine")
	}
	write("sdp", sdp)
	b.WriteString("e")
	if _, err := conn.Write([]byte(b.String())); err != nil {
		return netip.AddrPort{}, err
	}
	answer := make([]byte, 8192)
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, err := conn.Read(answer)
	if err != nil {
		return netip.AddrPort{}, err
	}
	m := mediaLine.FindSubmatch(answer[:n])
	if m == nil {
		return netip.AddrPort{}, fmt.Errorf("rtpengine answered %q", answer[:n])
	}
	return netip.ParseAddrPort(string(m[1]) + string(m[4]) + ":" + string(m[2]) + string(m[3]))
}
