package rounds

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// A Machine is where figures were measured.
type Machine struct {
	Model  string `json:"model"` // of the processor
	CPUs   int    `json:"cpus"`
	Memory int64  `json:"memory_bytes"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
}

// ThisMachine describes the machine that the program runs on. What cannot be found out stays empty.
func ThisMachine() Machine {
	m := Machine{CPUs: runtime.NumCPU(), Go: runtime.Version()}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		m.Model = valueOf(b, "model name")
	}
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		m.Memory = statusNumber(b, "MemTotal:") << 10
	}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = string(bytes.TrimSpace(b))
	}
	return m
}

// valueOf is the value of the first "key : value" line in text.
func valueOf(text []byte, key string) string {
	for line := range bytes.Lines(text) {
		if name, value, ok := bytes.Cut(line, []byte(":")); ok && string(bytes.TrimSpace(name)) == key {
			return string(bytes.TrimSpace(value))
		}
	}
	return ""
}

// LoadAverage is the machine's, over one, five and fifteen minutes.
func LoadAverage() (string, error) {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "", fmt.Errorf("read the load average: %w", err)
	}
	words := strings.Fields(string(b))
	return strings.Join(words[:min(3, len(words))], " "), nil
}

// A machineUsage is how much processor time the whole machine had used at one moment, this process included.
type machineUsage struct {
	at    time.Time
	busy  time.Duration // by anybody, interrupts included: in ticks of 10 ms
	steal time.Duration // taken by the host
	own   time.Duration // by this process
}

func readMachineUsage() (machineUsage, error) {
	u := machineUsage{at: time.Now()}
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return u, err
	}
	if u.busy, u.steal, err = parseStat(b); err != nil {
		return u, err
	}
	u.own, err = cpuClock(os.Getpid())
	return u, err
}

// parseStat reads the first line of /proc/stat: cpu user nice system idle iowait irq softirq steal.
func parseStat(b []byte) (busy, steal time.Duration, err error) {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	words := strings.Fields(string(line))
	if len(words) < 9 || words[0] != "cpu" {
		return 0, 0, fmt.Errorf("/proc/stat begins with %q", line)
	}
	var ticks [9]int64
	for i := 1; i < len(ticks); i++ {
		if ticks[i], err = strconv.ParseInt(words[i], 10, 64); err != nil {
			return 0, 0, fmt.Errorf("/proc/stat: %w", err)
		}
	}
	sum := ticks[1] + ticks[2] + ticks[3] + ticks[6] + ticks[7]
	return time.Duration(sum) * clockTick, time.Duration(ticks[8]) * clockTick, nil
}

// othersSince is which share of one processor between two moments went to others than this process and the system under
// test, which used tree, and which share the host took.
func othersSince(before, after machineUsage, tree time.Duration) (others, stolen float64) {
	elapsed := after.at.Sub(before.at).Seconds()
	if elapsed <= 0 {
		return 0, 0
	}
	busy := after.busy - before.busy - (after.own - before.own) - tree
	return max(0, busy.Seconds()/elapsed), (after.steal - before.steal).Seconds() / elapsed
}
