package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/admin"
	"github.com/ringwall/ringwall/config"
	"github.com/ringwall/ringwall/event"
)

func newRun() *cobra.Command {
	var file string
	var flags config.Overrides
	cmd := &cobra.Command{
		Use:   "run",
		Short: "run the edge",
		Long: "run reads the configuration file (" + defaultConfig + " if none is named and it exists, else defaults) and serves\n" +
			"until it gets TERM or INT. Flags replace what the file says. Without upstreams it starts a demonstration platform\n" +
			"that phones can register and call at.\n\n" +
			"HUP: the configuration is read again, as by `ringwall reload`.\n" +
			"USR1: the log is told what `ringwall status` shows.\n" +
			"NOTIFY_SOCKET, WATCHDOG_USEC: a service manager that sets these is told how it goes (sd_notify(3)).\n" +
			"TERM: new work is refused with 503, pending transactions finish for up to timers.drain, then it exits 0. A second\n" +
			"TERM exits at once.",
		Example: "  ringwall run --config /etc/ringwall/ringwall.yaml\n" +
			"  ringwall run --outside udp:127.0.0.1:5060 --inside udp:127.0.0.1:5070 --upstream sip:127.0.0.1:5080 --state ./state",
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	f.StringVarP(&file, "config", "c", "", "configuration `FILE`")
	f.StringSliceVar(&flags.Outside, "outside", nil, "`PLACE` to listen at for the internet, such as udp:203.0.113.5:5060")
	f.StringSliceVar(&flags.Inside, "inside", nil, "`PLACE` to listen at for the platform, such as udp:10.0.0.1:5070")
	f.StringSliceVar(&flags.Upstreams, "upstream", nil, "`URI` of the platform, such as sip:10.0.0.10:5060")
	f.StringVar(&flags.State, "state", "", "`DIR` for state file, key file and control socket")
	cmd.RunE = verb(func(cmd *cobra.Command, _ []string) error {
		from := origin{file, flags}
		cfg, err := from.load()
		if err != nil {
			return err
		}
		return run(cmd.Context(), boot{cfg: cfg, from: from}, cmd.OutOrStdout(), cmd.ErrOrStderr())
	})
	return cmd
}

// run serves until a signal ends it.
func run(ctx context.Context, b boot, stdout, stderr io.Writer) error {
	hups := make(chan os.Signal, 1) // one that comes while another waits asks for the same
	signal.Notify(hups, syscall.SIGHUP)
	users := make(chan os.Signal, 1)
	signal.Notify(users, syscall.SIGUSR1, syscall.SIGUSR2)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	signal.Ignore(syscall.SIGPIPE) // a reader of the log that went away is no reason to end calls
	b.lines = event.NewLines(stderr)
	defer b.lines.Close()
	b.level = new(slog.LevelVar)
	b.level.Set(b.cfg.Log.Level)
	b.log = event.NewLogger(b.lines, string(b.cfg.Log.Format), b.level)
	slog.SetDefault(b.log)
	var lost error
	if b.manager, lost = findManager(os.Getenv); lost != nil {
		b.log.Warn("the service manager will not hear of us", "err", lost.Error())
	}
	defer b.manager.close()
	starting, begun := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT) // names may take long to look up
	s, err := start(starting, b, stdout)
	stopped := starting.Err() != nil
	begun()
	if err != nil && stopped {
		b.log.Info("stopped before it was ready", "why", err.Error())
		return nil
	}
	if err != nil {
		return err
	}
	s.goUntilClose(func(ctx context.Context) { s.reloadOn(ctx, hups) })
	s.goUntilClose(func(ctx context.Context) { s.tellOn(ctx, users) })
	s.goUntilClose(s.followNames)
	s.goUntilClose(s.forgetRetired)
	s.goUntilClose(s.live)
	s.admin.SetState(admin.Ready)
	s.manager.ready()
	// Whatever log.level says, this line is how a start script knows.
	event.NewLogger(b.lines, string(b.cfg.Log.Format), slog.LevelInfo).Info("ready", s.places()...)

	got := <-signals
	limit := s.settings.Load().cfg.Timers.Drain
	s.manager.end(limit)
	b.log.Info("draining", "signal", got.String(), "pending", s.proxy.Pending(), "limit", limit.String())
	_ = s.drain(true, true) // it refuses only what would undo it
	s.wait(limit, signals)
	go func() { // closing takes moments; who is in a hurry does not wait for it either
		<-signals
		os.Exit(exitOK)
	}()
	b.log.Info("stopping", "pending", s.proxy.Pending())
	s.proxy.Leave(time.Now())
	return s.Close()
}

// tellOn tells the log what goes on and what needs attention at each USR1, until ctx ends. USR2, by which other services are replaced while they
// run, only gets an answer: without one it would end the process.
func (s *service) tellOn(ctx context.Context, users <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case got := <-users:
			if got == syscall.SIGUSR2 {
				s.log.Warn("USR2 is ignored: to replace the binary call `ringwall drain --for 1h` and start ringwall anew; registrations and calls survive that", "event", "status")
				continue
			}
			s.tell()
		}
	}
}

// tell puts into the log what `ringwall status` shows.
func (s *service) tell() {
	st := s.status()
	fields := []any{"event", "status", "state", st.State}
	last := ""
	for _, row := range st.rows() {
		if row[0] == last { // of peers there may be several
			fields[len(fields)-1] = fmt.Sprint(fields[len(fields)-1], "; ", row[1])
			continue
		}
		last = row[0]
		fields = append(fields, strings.ReplaceAll(last, " ", "_"), row[1])
	}
	s.log.Info("state", fields...)
	for _, c := range st.Attention {
		s.log.Warn(c.Text, "event", "status", "reason", c.ID)
	}
}

// wait returns when no transaction is pending, when limit has passed, or at a further signal.
func (s *service) wait(limit time.Duration, signals <-chan os.Signal) {
	end := time.NewTimer(limit)
	defer end.Stop()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for s.proxy.Pending() > 0 {
		select {
		case <-look.C:
		case <-end.C:
			return
		case <-signals:
			return
		}
	}
}

// places are the fields of the ready line: where the service can be reached.
func (s *service) places() []any {
	st := s.status()
	fields := []any{"outside", commas(st.Outside), "inside", commas(st.Inside), "upstream", commas(st.Upstreams)}
	if st.Admin != "" {
		fields = append(fields, "admin", st.Admin)
	}
	return append(fields, "pid", fmt.Sprint(st.PID), "version", st.Version)
}

// tryNext says what a newcomer can look at while the demonstration platform runs; from is how it was started.
func tryNext(w io.Writer, from origin) {
	service := ""
	switch {
	case from.flags.State != "":
		service = " --state " + from.flags.State
	case from.file != "":
		service = " --config " + from.file
	}
	fmt.Fprintf(w, "Then, in another terminal:\n\n")
	for _, try := range [...]struct{ verb, shows string }{
		{"trace" + service + " --user alice", "her calls, message by message, as they happen"},
		{"status" + service, "what needs attention, and what goes on"},
		{"demo", "no phone? Built-in ones call each other over UDP, TCP, TLS and WSS"},
	} {
		fmt.Fprintf(w, "  %s %-40s %s\n", os.Args[0], try.verb, try.shows)
	}
	fmt.Fprintf(w, "\nYour own platform: write its address into a file (README, \"In front of your own platform\") and start with --config FILE. Ctrl-C ends this.\n\n")
}
