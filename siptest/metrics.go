package siptest

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// client doesn't keep connections, so that looking at the edge doesn't change its descriptors.
var client = &http.Client{Timeout: Deadline, Transport: &http.Transport{DisableKeepAlives: true}}

// Status is the status of a GET on the admin port, 0 if there is no answer.
func (e *Edge) Status(path string) int {
	resp, err := client.Get(e.Admin + path)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// Metrics is the text of /metrics.
func (e *Edge) Metrics() string {
	e.t.Helper()
	resp, err := client.Get(e.Admin + "/metrics")
	if err != nil {
		e.t.Fatalf("metrics: %v", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		e.t.Fatalf("metrics: %v", err)
	}
	return string(text)
}

// Counter adds up the values of the lines of /metrics that contain all of parts: a name, a label, a piece of one.
func (e *Edge) Counter(parts ...string) (sum float64) {
	e.t.Helper()
lines:
	for line := range strings.Lines(e.Metrics()) {
		line = strings.TrimSpace(line)
		for _, part := range parts {
			if strings.HasPrefix(line, "#") || !strings.Contains(line, part) {
				continue lines
			}
		}
		if at := strings.LastIndexByte(line, ' '); at >= 0 {
			v, _ := strconv.ParseFloat(line[at+1:], 64)
			sum += v
		}
	}
	return sum
}

// Counted is Counter once that is want or more, or what it still is after the Deadline: what the edge does not answer, it may count
// only after the test has gone on.
func (e *Edge) Counted(want float64, parts ...string) (sum float64) {
	e.t.Helper()
	Eventually(func() bool { sum = e.Counter(parts...); return sum >= want })
	return sum
}

// Descriptors is the number of open file descriptors of the process.
func (e *Edge) Descriptors() int {
	e.t.Helper()
	fds, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(e.PID), "fd"))
	if err != nil {
		e.t.Fatalf("descriptors: %v", err)
	}
	return len(fds)
}

// Memory is the resident set of the process in bytes.
func (e *Edge) Memory() int {
	e.t.Helper()
	statm, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(e.PID), "statm"))
	if err != nil {
		e.t.Fatalf("memory: %v", err)
	}
	pages, _ := strconv.Atoi(strings.Fields(string(statm))[1])
	return pages * os.Getpagesize()
}

// CPU is the processor time the process has used.
func (e *Edge) CPU() time.Duration {
	e.t.Helper()
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(e.PID), "stat"))
	if err != nil {
		e.t.Fatalf("cpu: %v", err)
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(after)
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond // in ticks of 1/100 s
}

// NeedTool returns the path of a tool that a story can't run without. Without the tool the test names it and is skipped, or
// fails where skipping isn't allowed: with CI=true or RINGWALL_REQUIRE=1 in the environment.
func NeedTool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Missing(t, name+", which is not installed")
	}
	return path
}

// Missing ends a story that can't run for want of what: it is skipped, or fails where skipping isn't allowed.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" || os.Getenv("RINGWALL_REQUIRE") == "1" {
		t.Fatalf("this story needs %s", what)
	}
	t.Skipf("this story needs %s", what)
}
