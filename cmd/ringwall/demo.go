package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/config"
	"github.com/ringwall/ringwall/demo"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/event"
	"github.com/ringwall/ringwall/proxy"
)

// Bounds of the demonstration.
const (
	demoPatience = 5 * time.Second // for one registration or call
	demoPackets  = 50              // of RTP to and fro in each call: one second of speech
	demoDomain   = "ringwall.demo"
)

// demoTransports are what the edge of the demonstration listens at.
var demoTransports = []edge.Transport{edge.UDP, edge.TCP, edge.TLS, edge.WSS}

func newDemo() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "show calls through the edge, without a softphone",
		Long: "demo starts the edge on free ports of loopback in front of a small platform, lets built-in phones register and call the\n" +
			"echo extension and each other through it over UDP, TCP, TLS and WSS, and shows each call as a ladder of phone, edge and\n" +
			"platform (see ringwall trace). Media goes to and fro in each call. It needs no configuration and leaves nothing behind.\n" +
			"It exits 0 if every call was complete, else 1.",
		Args: cobra.NoArgs,
		RunE: verb(func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return runDemo(ctx, cmd.OutOrStdout(), cmd.ErrOrStderr())
		}),
	}
}

// runDemo starts what the demonstration needs, shows it, and takes everything away again.
func runDemo(ctx context.Context, stdout, stderr io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "ringwall-demo-")
	if err != nil {
		return fmt.Errorf("make a folder for the demonstration: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	cfg, trusted, err := demoConfig(dir)
	if err != nil {
		return err
	}
	level := new(slog.LevelVar)
	level.Set(slog.LevelWarn)
	s, err := start(ctx, boot{cfg: cfg, log: event.NewLogger(stderr, "text", level), level: level}, io.Discard)
	if err != nil {
		return fmt.Errorf("start the demonstration: %w", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	t, err := s.proxy.Trace(proxy.TraceFilter{})
	if err != nil {
		return err
	}
	defer t.Close()
	show := &demonstration{service: s, trace: t, out: stdout, trusted: trusted}
	defer show.close()
	return show.run(ctx)
}

// demoConfig is an edge on free ports of loopback with its state and its certificate in dir. It also returns what the phones
// believe.
func demoConfig(dir string) (*config.Config, *tls.Config, error) {
	cfg := config.Default()
	if err := cfg.Override(config.Overrides{State: dir}); err != nil {
		return nil, nil, err
	}
	pair := config.KeyPair{Certificate: config.Reference{File: filepath.Join(dir, "cert.pem")}, Key: config.Reference{File: filepath.Join(dir, "key.pem")}}
	roots, err := selfSigned(demoDomain, pair)
	if err != nil {
		return nil, nil, err
	}
	cfg.TLS.Certificates = []config.KeyPair{pair}
	any := netip.MustParseAddrPort("127.0.0.1:0") // the system chooses the ports
	cfg.Outside.Listen, cfg.Inside.Listen = nil, nil
	for _, t := range demoTransports {
		cfg.Outside.Listen = append(cfg.Outside.Listen, config.Listen{Transport: t, Addr: any})
	}
	for _, t := range []edge.Transport{edge.UDP, edge.TCP} {
		cfg.Inside.Listen = append(cfg.Inside.Listen, config.Listen{Transport: t, Addr: any})
	}
	cfg.Admin.HTTP = netip.AddrPort{}
	return cfg, &tls.Config{RootCAs: roots, ServerName: demoDomain}, nil
}

// A demonstration is one run of calls.
type demonstration struct {
	service *service
	trace   *proxy.Trace
	out     io.Writer
	trusted *tls.Config // what the phones believe
	phones  []*demo.Phone
	shown   int    // steps
	dropped uint64 // messages not shown so far
	calls   int
	failed  []error
}

// run lets the phones register and call; it is the order in which it is shown.
func (d *demonstration) run(ctx context.Context) error {
	alice, err := d.phone(ctx, "alice", edge.UDP)
	if err != nil {
		return err
	}
	bob, err := d.phone(ctx, "bob", edge.TCP)
	if err != nil {
		return err
	}
	carol, err := d.phone(ctx, "carol", edge.TLS)
	if err != nil {
		return err
	}
	for _, caller := range []*demo.Phone{alice, bob, carol} {
		d.call(ctx, caller, nil)
	}
	d.call(ctx, alice, bob)
	d.call(ctx, bob, carol)
	d.call(ctx, carol, alice)
	if bob, err = d.move(ctx, bob, edge.WSS); err != nil {
		return err
	}
	d.call(ctx, bob, nil)
	d.call(ctx, alice, bob)
	d.call(ctx, bob, carol)
	return d.result()
}

// result is the last line, or an error that names the calls that failed.
func (d *demonstration) result() error {
	if len(d.failed) > 0 {
		return fmt.Errorf("%d of %s failed:\n%w", len(d.failed), count(d.calls, "call"), errors.Join(d.failed...))
	}
	_, err := fmt.Fprintf(d.out, "\n%s, all complete\n", count(d.calls, "call"))
	return err
}

// phone opens a phone and registers it.
func (d *demonstration) phone(ctx context.Context, user string, over edge.Transport) (*demo.Phone, error) {
	ctx, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	cfg := demo.PhoneConfig{Transport: over, Domain: demoDomain, TLS: d.trusted}
	for _, a := range d.service.platform.Accounts() {
		if a.User == user {
			cfg.Account = a
		}
	}
	for _, l := range d.service.transport.Listeners() {
		if l.Side == edge.Outside && l.Transport == over {
			cfg.Server = l.Addr
		}
	}
	p, err := demo.DialPhone(ctx, cfg)
	if err != nil {
		return nil, err
	}
	d.phones = append(d.phones, p)
	title := fmt.Sprintf("%s registers over %v, with a digest of %s", user, over, cfg.Account.Algorithm)
	err = p.Register(ctx, true)
	return p, d.show(title, "registered", err)
}

// move gives the user of old another phone: the old one takes its registration back.
func (d *demonstration) move(ctx context.Context, old *demo.Phone, over edge.Transport) (*demo.Phone, error) {
	within, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	err := old.Register(within, false)
	if err = d.show(old.User()+" takes the registration over "+old.Transport().String()+" back", "gone", err); err != nil {
		return nil, err
	}
	return d.phone(ctx, old.User(), over)
}

// call lets caller call another phone, or the echo if there is none, and remembers whether all went well.
func (d *demonstration) call(ctx context.Context, caller, callee *demo.Phone) {
	ctx, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	d.calls++
	title, target, before := fmt.Sprintf("%s (%v) calls the echo, 600", caller.User(), caller.Transport()), "600", 0
	if callee != nil {
		title = fmt.Sprintf("%s (%v) calls %s (%v)", caller.User(), caller.Transport(), callee.User(), callee.Transport())
		target, before = callee.User(), callee.Answered()
	}
	err := converse(ctx, caller, target)
	if err == nil && callee != nil && callee.Answered() != before+1 {
		err = fmt.Errorf("%s has not seen the whole call", callee.User())
	}
	if err = d.show(title, fmt.Sprintf("complete, %d of %d packets of media came back", demoPackets, demoPackets), err); err != nil {
		d.failed = append(d.failed, err)
	}
}

// converse is one call, with media to and fro.
func converse(ctx context.Context, caller *demo.Phone, target string) error {
	c, err := caller.Call(ctx, target)
	if err != nil {
		return err
	}
	back, err := c.Echo(ctx, demoPackets)
	if err == nil && back != demoPackets {
		err = fmt.Errorf("%d of %d packets of media came back", back, demoPackets)
	}
	return errors.Join(err, c.Hangup(ctx))
}

// show writes a step: its title, the ladder of what passed, and how it went.
func (d *demonstration) show(title, good string, failed error) error {
	d.shown++
	fmt.Fprintf(d.out, "\n%d. %s\n\n", d.shown, title)
	l := &ladder{w: d.out, dropped: d.dropped}
	l.heading()
	ended, cancel := context.WithCancel(context.Background())
	cancel() // what passed is queued already: we only heard of it after the edge had
	for {
		m, err := d.trace.Next(ended)
		if err != nil {
			break
		}
		line := lineOf(m, false)
		line.Dropped = d.trace.Dropped()
		d.dropped = line.Dropped
		if err := l.add(line); err != nil {
			return err
		}
	}
	if failed != nil {
		fmt.Fprintf(d.out, "\n   %s\n", paint(d.out, red, "failed: "+failed.Error()))
		return fmt.Errorf("%s: %w", title, failed)
	}
	fmt.Fprintf(d.out, "\n   %s\n", paint(d.out, green, good))
	return nil
}

func (d *demonstration) close() {
	for _, p := range d.phones {
		p.Close()
	}
}
