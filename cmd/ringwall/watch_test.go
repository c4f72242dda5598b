package main

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestAgain: what is watched is printed every two seconds until that is ended, which is no failure, or until it fails. What is no terminal is not emptied.
func TestAgain(t *testing.T) {
	lost := errors.New("no service")
	for _, c := range []struct {
		failing, times int // the time that fails, 0: none does; how often it is printed in seven seconds
		want           error
	}{{0, 4, nil}, {2, 2, lost}} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
			defer cancel()
			var out bytes.Buffer
			n := 0
			err := again(ctx, &out, func() error {
				if n++; n == c.failing {
					return lost
				}
				return nil
			})
			if n != c.times || err != c.want || out.Len() > 0 {
				t.Errorf("printed %d times, want %d: %v, %q", n, c.times, err, out.String())
			}
		})
	}
}
