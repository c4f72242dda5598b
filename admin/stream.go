package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"time"
)

// A StreamHandler answers one verb of the control socket with any number of lines: each value given to send is one, as JSON. It
// returns when ctx ends, which it does when the caller goes away and when the server closes, or when send fails. An error
// is sent as one sentence, the last line.
type StreamHandler func(ctx context.Context, args json.RawMessage, send func(any) error) error

// HandleStream names the StreamHandler of a verb. It may only be called before Serve.
func (s *Server) HandleStream(verb string, h StreamHandler) { s.streams[verb] = h }

// stream lets h write lines to conn until the caller goes away or the server closes. A caller that does not read for
// socketTimeout is cut.
func (s *Server) stream(conn net.Conn, req *request, h StreamHandler) {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	_ = conn.SetDeadline(time.Time{})
	s.wg.Go(func() { // a caller says no more: whatever comes is its end
		_, _ = conn.Read(make([]byte, 1))
		cancel()
	})
	enc := json.NewEncoder(conn)
	write := func(a answer) error {
		_ = conn.SetWriteDeadline(time.Now().Add(socketTimeout))
		return enc.Encode(a)
	}
	err := s.streamed(ctx, req, h, func(v any) error {
		data, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("encode the answer: %w", err)
		}
		return write(answer{Result: data})
	})
	if err != nil && ctx.Err() == nil {
		_ = write(answer{Error: err.Error()}) // a caller that went away needs no answer
	}
}

// streamed calls h. A panic in it costs this one exchange and is logged.
func (s *Server) streamed(ctx context.Context, req *request, h StreamHandler, send func(any) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic in a control socket handler", "verb", req.Verb, "panic", p, "stack", string(debug.Stack()))
			err = errors.New("internal error, see the log")
		}
	}()
	return h(ctx, req.Args, send)
}

// Stream sends verb and its arguments to the control socket and gives each line of the answer to each, until ctx ends (nil), each
// returns an error (that one), or the service ends the answer (its sentence, or an error that wraps ErrUnreachable
// where it went away). What cannot be reached at all is told as by Call.
func Stream(ctx context.Context, socket, verb string, in any, each func(json.RawMessage) error) error {
	args, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode arguments of %s: %w", verb, err)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	switch {
	case ctx.Err() != nil:
		if conn != nil {
			conn.Close()
		}
		return nil
	case err != nil:
		return dialError(socket, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := json.NewEncoder(conn).Encode(request{Verb: verb, Args: args}); err != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: %s: send %s: %w", ErrUnreachable, socket, verb, err)
	}
	lines := bufio.NewReader(conn)
	for {
		line, err := lines.ReadBytes('\n')
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%w any more: it ended while %s went on", ErrUnreachable, verb)
		}
		if err != nil {
			return fmt.Errorf("%w: %s: read %s: %w", ErrUnreachable, socket, verb, err)
		}
		var value json.RawMessage
		if err := decode(line, verb, &value); err != nil {
			return err
		}
		if err := each(value); err != nil {
			return err
		}
	}
}
