package admin

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// openStreams opens a server with some verbs that stream.
func openStreams(t *testing.T, ended chan<- struct{}) (*Server, string) {
	t.Helper()
	path := t.TempDir() + "/s.sock"
	s, err := Open(Config{Socket: path})
	if err != nil {
		t.Fatal(err)
	}
	s.HandleStream("count", func(ctx context.Context, args json.RawMessage, send func(any) error) error {
		var n int
		if err := json.Unmarshal(args, &n); err != nil {
			return err
		}
		for i := range n {
			if err := send(i); err != nil {
				return err
			}
		}
		return errors.New("that was all")
	})
	s.HandleStream("wait", func(ctx context.Context, _ json.RawMessage, send func(any) error) error {
		defer close(ended)
		if err := send("begun"); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	})
	s.HandleStream("panic", func(context.Context, json.RawMessage, func(any) error) error { panic("boom") })
	s.Serve()
	return s, path
}

func TestStream(t *testing.T) {
	s, path := openStreams(t, nil)
	defer s.Close()
	var got []int
	err := Stream(t.Context(), path, "count", 1000, func(line json.RawMessage) error {
		var i int
		err := json.Unmarshal(line, &i)
		got = append(got, i)
		return err
	})
	if err == nil || err.Error() != "that was all" || len(got) != 1000 || got[999] != 999 {
		t.Errorf("%d lines, %v", len(got), err)
	}
	for verb, want := range map[string]string{"panic": "internal error", "none": `does not know the verb "none"`, "count": "cannot unmarshal"} {
		err := Stream(t.Context(), path, verb, "x", func(json.RawMessage) error { return nil })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", verb, err, want)
		}
	}
	mine := errors.New("enough")
	if err := Stream(t.Context(), path, "count", 3, func(json.RawMessage) error { return mine }); !errors.Is(err, mine) {
		t.Errorf("own error: %v", err)
	}
}

// TestStreamEndsWithItsCaller: the handler hears of it when the caller goes away.
func TestStreamEndsWithItsCaller(t *testing.T) {
	ended := make(chan struct{})
	s, path := openStreams(t, ended)
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	err := Stream(ctx, path, "wait", nil, func(json.RawMessage) error { cancel(); return nil })
	if err != nil {
		t.Errorf("a caller that has enough: %v", err)
	}
	<-ended
}

// TestStreamEndsWithTheServer: Close ends the handler, and the caller is told.
func TestStreamEndsWithTheServer(t *testing.T) {
	ended := make(chan struct{})
	s, path := openStreams(t, ended)
	begun, told := make(chan struct{}), make(chan error)
	go func() {
		told <- Stream(context.Background(), path, "wait", nil, func(json.RawMessage) error { close(begun); return nil })
	}()
	<-begun
	s.Close()
	<-ended
	if err := <-told; !errors.Is(err, ErrUnreachable) {
		t.Errorf("the caller heard %v", err)
	}
	if err := Stream(t.Context(), path, "wait", nil, nil); !errors.Is(err, ErrUnreachable) {
		t.Errorf("no server: %v", err)
	}
	over, end := context.WithCancel(t.Context())
	end()
	if err := Stream(over, path, "wait", nil, nil); err != nil {
		t.Errorf("it was over before it began: %v", err)
	}
}
