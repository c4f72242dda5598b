package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of the control socket.
const (
	maxSocketConns  = 32
	maxRequestBytes = 64 << 10
	maxAnswerBytes  = 64 << 20
	socketTimeout   = 10 * time.Second
	socketMode      = 0o660
	maxSocketPath   = 107 // sun_path of unix(7) without its final NUL
)

// request and answer are the two lines of one exchange; a connection carries one exchange. A verb that streams has any number
// of answers.
type request struct {
	Verb string          `json:"verb"`
	Args json.RawMessage `json:"args,omitempty"`
}

type answer struct {
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
}

// listenUnix binds the control socket. A socket file that nobody listens at is left over from a process that died, and is
// replaced; one that answers, or a file that is no socket, is an error.
func listenUnix(path string) (*net.UnixListener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("admin.socket: the path %s has %d bytes, the system allows %d", path, len(path), maxSocketPath)
	}
	if err := removeStale(path); err != nil {
		return nil, fmt.Errorf("admin.socket: %w", err)
	}
	// The mode is set before the file exists, too: there is no moment at which others could connect.
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var inner error
		if err := c.Control(func(fd uintptr) { inner = unix.Fchmod(int(fd), socketMode) }); err != nil {
			return err
		}
		return inner
	}}
	l, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("admin.socket: cannot listen at %s: %w", path, systemError(err))
	}
	if err := os.Chmod(path, socketMode); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("admin.socket: %w", err)
	}
	return l.(*net.UnixListener), nil
}

// removeStale removes a socket file that nobody listens at.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s exists and is not a socket; it is not ours to remove", path)
	}
	conn, err := net.DialTimeout("unix", path, socketTimeout)
	switch {
	case err == nil:
		_ = conn.Close()
		return fmt.Errorf("%s is in use by another process", path)
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	}
	return fmt.Errorf("find out who uses %s: %w", path, err)
}

func (s *Server) acceptSocket() {
	for {
		conn, err := s.socket.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.log.Warn("the control socket cannot accept", "err", err)
			select {
			case <-s.ctx.Done():
				return
			case <-time.After(time.Second):
			}
			continue
		}
		select {
		case s.slots <- struct{}{}:
			s.wg.Go(func() {
				defer func() { <-s.slots }()
				s.exchange(conn)
			})
		default:
			_ = conn.Close() // over the cap
		}
	}
}

// exchange reads one request and answers it. It ends early when the server closes.
func (s *Server) exchange(conn net.Conn) {
	defer conn.Close()
	stop := context.AfterFunc(s.ctx, func() { _ = conn.Close() })
	defer stop()
	_ = conn.SetDeadline(time.Now().Add(socketTimeout))
	var req request
	line, err := readLine(conn, maxRequestBytes)
	if err == nil {
		err = json.Unmarshal(line, &req)
	}
	if h, ok := s.streams[req.Verb]; ok && err == nil {
		s.stream(conn, &req, h)
		return
	}
	var a answer
	if err != nil {
		a.Error = "not a request: " + err.Error()
	} else {
		a = s.answer(&req)
	}
	_ = conn.SetDeadline(time.Now().Add(socketTimeout))
	_ = json.NewEncoder(conn).Encode(a) // a client that went away needs no answer
}

// answer calls the verb's handler. A panic in it costs this one exchange and is logged as what it is, an error of ours.
func (s *Server) answer(req *request) (a answer) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic in a control socket handler", "verb", req.Verb, "panic", p, "stack", string(debug.Stack()))
			a = answer{Error: "internal error, see the log"}
		}
	}()
	h, ok := s.handlers[req.Verb]
	if !ok {
		return answer{Error: fmt.Sprintf("this ringwall does not know the verb %q", req.Verb)}
	}
	result, err := h(s.ctx, req.Args)
	if err != nil {
		return answer{Error: err.Error()}
	}
	data, err := json.Marshal(result)
	if err != nil {
		return answer{Error: fmt.Sprintf("encode the answer: %v", err)}
	}
	return answer{Result: data}
}

// readLine reads up to a newline or the end, at most limit bytes.
func readLine(r io.Reader, limit int64) ([]byte, error) {
	line, err := bufio.NewReader(io.LimitReader(r, limit+1)).ReadBytes('\n')
	if int64(len(line)) > limit {
		return nil, fmt.Errorf("longer than %d bytes", limit)
	}
	if errors.Is(err, io.EOF) && len(line) > 0 {
		err = nil
	}
	return line, err
}
