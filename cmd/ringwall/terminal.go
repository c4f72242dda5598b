package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/config"
)

// Colours of a terminal (ECMA-48 SGR).
const (
	red   = "31"
	green = "32"
	amber = "33"
)

// paint returns text in colour where w is a terminal whose user has not asked for none (https://no-color.org).
func paint(w io.Writer, colour, text string) string {
	if !colourful(w) {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

func colourful(w io.Writer) bool {
	return terminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// terminal reports whether w is one.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// printProblems prints every mistake of a configuration and how many there are.
func printProblems(w io.Writer, problems config.Errors) {
	for _, p := range problems {
		first, rest, more := strings.Cut(p.String(), "\n")
		fmt.Fprintln(w, paint(w, red, first))
		if more {
			fmt.Fprintln(w, rest)
		}
	}
	fmt.Fprintln(w, count(len(problems), "problem"))
}

// count is "1 problem", "2 problems".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
