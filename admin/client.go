package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"
	"time"
)

// ErrUnreachable: nobody answers at the control socket.
var ErrUnreachable = errors.New("ringwall is not running")

// Call sends verb and its arguments (nil: none) to the control socket and decodes the result into out (nil: ignored).
// The error wraps ErrUnreachable where no service listens there, fs.ErrPermission where this user may not use the
// socket; an error of the verb itself is the service's sentence.
func Call(ctx context.Context, socket, verb string, in, out any) error {
	req := request{Verb: verb}
	if in != nil {
		args, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode arguments of %s: %w", verb, err)
		}
		req.Args = args
	}
	ctx, cancel := context.WithTimeout(ctx, 2*socketTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return dialError(socket, err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * socketTimeout))
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := json.NewEncoder(conn).Encode(req); err != nil {
		return fmt.Errorf("%w: %s: send %s: %w", ErrUnreachable, socket, verb, err)
	}
	line, err := readLine(conn, maxAnswerBytes)
	if err != nil {
		return fmt.Errorf("%w: no answer to %s at %s: %w", ErrUnreachable, verb, socket, err)
	}
	return decode(line, verb, out)
}

func decode(line []byte, verb string, out any) error {
	var a answer
	if err := json.Unmarshal(line, &a); err != nil {
		return fmt.Errorf("answer to %s: %w", verb, err)
	}
	if a.Error != "" {
		return errors.New(a.Error)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(a.Result, out); err != nil {
		return fmt.Errorf("answer to %s: %w", verb, err)
	}
	return nil
}

// dialError says why the control socket could not be reached.
func dialError(socket string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: nobody listens at the control socket %s", ErrUnreachable, socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("this user may not use the control socket %s (its group may): %w", socket, fs.ErrPermission)
	}
	return fmt.Errorf("%w: %s: %w", ErrUnreachable, socket, err)
}
