package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open starts a server on a free port and a socket in a folder of the test.
func open(t *testing.T, handlers map[string]Handler) (s *Server, socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "r.sock")
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "ringwall_test_total", Help: "Test."})
	s, err := Open(Config{HTTP: netip.MustParseAddrPort("127.0.0.1:0"), Socket: socket,
		Collectors: []prometheus.Collector{counter}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for verb, h := range handlers {
		s.Handle(verb, h)
	}
	s.Serve()
	t.Cleanup(s.Close)
	return s, socket
}

// get asks for path under a Host name ("" for the address itself).
func get(t *testing.T, s *Server, method, path, host string) (status int, header http.Header, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.HTTPAddr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		req.Host = host
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(data)
}

func TestHTTP(t *testing.T) {
	s, _ := open(t, nil)
	if status, header, body := get(t, s, "GET", "/metrics", ""); status != 200 || header.Get("Cache-Control") != "no-store" ||
		!strings.Contains(body, "ringwall_test_total 0") || !strings.Contains(body, "go_goroutines") ||
		!strings.Contains(body, "process_open_fds") {
		t.Errorf("/metrics: %d %v\n%.400s", status, header, body)
	}
	if status, _, body := get(t, s, "GET", "/healthz", ""); status != 200 || body != "ok\n" {
		t.Errorf("/healthz: %d %s", status, body)
	}
	if status, _, _ := get(t, s, "POST", "/metrics", ""); status != http.StatusMethodNotAllowed {
		t.Errorf("POST /metrics: %d", status)
	}
	if status, _, _ := get(t, s, "GET", "/", ""); status != http.StatusNotFound {
		t.Errorf("/: %d", status)
	}
}

func TestReadiness(t *testing.T) {
	s, _ := open(t, nil)
	for _, step := range []struct {
		state  State
		status int
		body   string
	}{{Starting, 503, "starting\n"}, {Ready, 200, "ready\n"}, {Draining, 503, "draining\n"}} {
		s.SetState(step.state)
		if status, _, body := get(t, s, "GET", "/readyz", ""); status != step.status || body != step.body {
			t.Errorf("%v: %d %q", step.state, status, body)
		}
	}
}

// TestHostCheck is audit row F30: a page of another name that resolves to this machine gets nothing.
func TestHostCheck(t *testing.T) {
	s, _ := open(t, nil)
	for host, want := range map[string]int{
		"localhost": 200, "LOCALHOST:7060": 200, "127.0.0.1": 200, "127.9.9.9:1": 200, "[::1]:7060": 200, "[::1]": 200,
		"evil.example": 421, "localhost.evil.example": 421, "127.0.0.1.evil.example:7060": 421, "192.0.2.1": 421,
		"[2001:db8::1]:7060": 421,
	} {
		if status, header, _ := get(t, s, "GET", "/healthz", host); status != want || header.Get("Cache-Control") != "no-store" {
			t.Errorf("Host %s: %d, want %d", host, status, want)
		}
	}
}

// TestConnectionCap opens more idle connections than the port takes: the last ones are closed at once, and the port works
// again when the others go.
func TestConnectionCap(t *testing.T) {
	s, _ := open(t, nil)
	var conns []net.Conn
	for range maxHTTPConns {
		conns = append(conns, dial(t, s))
	}
	extra := dial(t, s)
	_ = extra.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := extra.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("connection over the cap: %v, want it closed", err)
	}
	for _, c := range conns {
		_ = c.Close()
	}
	for { // until the server has noticed
		c := dial(t, s)
		_, _ = io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		data, _ := io.ReadAll(c)
		if strings.HasPrefix(string(data), "HTTP/1.1 200") {
			return
		}
	}
}

func dial(t *testing.T, s *Server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.HTTPAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestRefusesPublicAddress(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:7060", "192.0.2.1:7060", "[::]:7060", "[2001:db8::1]:7060"} {
		_, err := Open(Config{HTTP: netip.MustParseAddrPort(addr)})
		if err == nil || !strings.Contains(err.Error(), "not a loopback address") {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

func TestPortInUse(t *testing.T) {
	s, _ := open(t, nil)
	socket := filepath.Join(t.TempDir(), "r.sock")
	_, err := Open(Config{HTTP: s.HTTPAddr(), Socket: socket})
	want := fmt.Sprintf("admin.http: cannot listen on %v: address already in use", s.HTTPAddr())
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if _, err := os.Lstat(socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket was left behind: %v", err)
	}
}

type numbers struct{ A, B int }

func handlers() map[string]Handler {
	return map[string]Handler{
		"add": func(_ context.Context, args json.RawMessage) (any, error) {
			var n numbers
			if err := json.Unmarshal(args, &n); err != nil {
				return nil, fmt.Errorf("add: %w", err)
			}
			return n.A + n.B, nil
		},
		"fail":  func(context.Context, json.RawMessage) (any, error) { return nil, errors.New("no such thing") },
		"panic": func(context.Context, json.RawMessage) (any, error) { panic("boom") },
		"odd":   func(context.Context, json.RawMessage) (any, error) { return func() {}, nil },
	}
}

func TestCall(t *testing.T) {
	_, socket := open(t, handlers())
	var sum int
	if err := Call(t.Context(), socket, "add", numbers{2, 3}, &sum); err != nil || sum != 5 {
		t.Errorf("add: %d, %v", sum, err)
	}
	if err := Call(t.Context(), socket, "add", numbers{}, nil); err != nil {
		t.Errorf("result ignored: %v", err)
	}
	for verb, want := range map[string]string{
		"fail":  "no such thing",
		"panic": "internal error, see the log",
		"none":  `this ringwall does not know the verb "none"`,
		"odd":   "encode the answer",
		"add":   "add: unexpected end of JSON input",
	} {
		if err := Call(t.Context(), socket, verb, nil, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", verb, err, want)
		}
	}
}

// TestHostileSocketInput sends what is no request: each costs its own connection and gets an answer.
func TestHostileSocketInput(t *testing.T) {
	_, socket := open(t, handlers())
	for _, in := range []string{"\n", "{}\n", "null\n", "[1]\n", "{\"verb\": 5}\n", strings.Repeat("x", maxRequestBytes+1),
		strings.Repeat("[", maxRequestBytes-1) + "\n"} {
		c, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, in)
		data, err := io.ReadAll(c)
		if err != nil && !errors.Is(err, net.ErrClosed) && len(data) == 0 {
			t.Logf("%.20q: %v", in, err)
		}
		if !strings.Contains(string(data), `"error"`) {
			t.Errorf("%.20q: answered %q", in, data)
		}
		_ = c.Close()
	}
}

func TestSocketMode(t *testing.T) {
	_, socket := open(t, nil)
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != socketMode {
		t.Errorf("mode %v, %v, want %o", info.Mode(), err, socketMode)
	}
}

func TestSocketInUse(t *testing.T) {
	_, socket := open(t, nil)
	_, err := Open(Config{Socket: socket})
	if err == nil || !strings.Contains(err.Error(), "is in use by another process") {
		t.Errorf("got %v", err)
	}
}

// TestStaleSocket leaves the file of a process that died, as kill -9 does, and opens over it.
func TestStaleSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	if err := Call(t.Context(), path, "status", nil, nil); !errors.Is(err, ErrUnreachable) {
		t.Errorf("call to a stale socket: %v", err)
	}
	s, err := Open(Config{Socket: path})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket was left behind: %v", err)
	}
}

func TestForeignFileIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.sock")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Socket: path}); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("got %v", err)
	}
	if data, _ := os.ReadFile(path); string(data) != "precious" {
		t.Error("a file that is not ours was removed")
	}
}

func TestBadSocketPaths(t *testing.T) {
	for path, want := range map[string]string{
		filepath.Join(t.TempDir(), "missing", "r.sock"): "no such file or directory",
		"/" + strings.Repeat("x", 200):                  "the system allows 107",
	} {
		if _, err := Open(Config{Socket: path}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestCallWithoutService(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.sock")
	err := Call(t.Context(), path, "status", nil, nil)
	if !errors.Is(err, ErrUnreachable) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
}

// TestCloseCutsExchanges closes the server while a handler works and while a connection says nothing.
func TestCloseCutsExchanges(t *testing.T) {
	entered := make(chan struct{})
	s, err := Open(Config{Socket: filepath.Join(t.TempDir(), "r.sock"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s.Handle("wait", func(ctx context.Context, _ json.RawMessage) (any, error) {
		close(entered)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	s.Serve()
	path := s.socket.Addr().String()
	silent, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	answered := make(chan error)
	go func() { answered <- Call(context.Background(), path, "wait", nil, nil) }()
	<-entered
	s.Close()
	if err := <-answered; err == nil {
		t.Error("a call that was cut reported success")
	}
}

// TestReadLine: a line ends with a newline or with the connection; one of more bytes than the limit is refused, not cut.
func TestReadLine(t *testing.T) {
	for _, c := range []struct {
		in, want string
		fails    bool
	}{
		{"12345678\nmore", "12345678\n", false},
		{"123456789", "123456789", false},
		{"123456789\n", "", true},
		{"1234567890", "", true},
		{"", "", true},
	} {
		got, err := readLine(strings.NewReader(c.in), 9)
		if string(got) != c.want && !c.fails || (err != nil) != c.fails {
			t.Errorf("%q: %q, %v", c.in, got, err)
		}
	}
}
