package rounds

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A usage is what a process tree has used up to one moment.
type usage struct {
	cpu       time.Duration // from the processes' CPU clocks: exact to the nanosecond
	user, sys time.Duration // from /proc/PID/stat: in ticks of 10 ms, for the split only
	rss, peak int64         // VmRSS and VmHWM, bytes
	switches  int64         // voluntary context switches: how often it slept
}

// clockTick is the unit of /proc/PID/stat on Linux (USER_HZ is 100 on every platform that Go supports).
const clockTick = 10 * time.Millisecond

// treeUsage adds up process pid and all its descendants that still run.
func treeUsage(pid int) (usage, error) {
	total, err := processUsage(pid)
	if err != nil {
		return usage{}, fmt.Errorf("account process %d: %w", pid, err)
	}
	children, err := childrenOf(pid)
	if err != nil {
		return usage{}, fmt.Errorf("account process %d: %w", pid, err)
	}
	for _, child := range children {
		u, err := treeUsage(child)
		if err != nil {
			return usage{}, err
		}
		total.add(u)
	}
	return total, nil
}

func (u *usage) add(o usage) {
	u.cpu += o.cpu
	u.user += o.user
	u.sys += o.sys
	u.rss += o.rss
	u.peak += o.peak
	u.switches += o.switches
}

func processUsage(pid int) (usage, error) {
	var u usage
	var err error
	if u.cpu, err = cpuClock(pid); err != nil {
		return u, err
	}
	if u.user, u.sys, err = statTimes(pid); err != nil {
		return u, err
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, err
	}
	u.rss = statusNumber(status, "VmRSS:") << 10
	u.peak = statusNumber(status, "VmHWM:") << 10
	u.switches, err = sleeps(pid)
	return u, err
}

// cpuClock reads the CPU clock of another process, all its threads, living and dead: clock_getcpuclockid(3).
func cpuClock(pid int) (time.Duration, error) {
	const perProcessSched = 2
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|perProcessSched), &ts); err != nil {
		return 0, os.NewSyscallError("clock_gettime", err)
	}
	return time.Duration(ts.Nano()), nil
}

// statTimes reads utime and stime, fields 14 and 15 of /proc/PID/stat.
func statTimes(pid int) (user, sys time.Duration, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // begins with field 3
	if len(fields) < 13 {
		return 0, 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields)+2)
	}
	ut, err1 := strconv.ParseInt(fields[11], 10, 64)
	st, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(ut) * clockTick, time.Duration(st) * clockTick, errors.Join(err1, err2)
}

// sleeps adds up the voluntary context switches of all threads of a process.
func sleeps(pid int) (int64, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	var total int64
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil { // a thread may be gone by now
			total += statusNumber(b, "voluntary_ctxt_switches:")
		}
	}
	return total, err
}

// statusNumber reads a number from the text of /proc/PID/status; 0 if key is missing.
func statusNumber(status []byte, key string) int64 {
	for line := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(line, []byte(key)); ok {
			n, _ := strconv.ParseInt(strings.Fields(string(rest))[0], 10, 64)
			return n
		}
	}
	return 0
}

func childrenOf(pid int) ([]int, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // the thread is gone
		}
		for _, word := range strings.Fields(string(b)) {
			child, err := strconv.Atoi(word)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", f, err)
			}
			pids = append(pids, child)
		}
	}
	return pids, nil
}
