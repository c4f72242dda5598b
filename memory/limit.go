package memory

import (
	"bufio"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// leastAuto is what Auto chooses at least where there is that much, bytes.
const leastAuto = 512 << 20

// Auto is the limit for who has not chosen one: a quarter of the memory that this process may have, at least 512 MiB, but never more than
// three quarters of it. What it may have is the machine's memory, or less where a control group says so.
func Auto() int64 {
	return auto(min(machine(), group(os.DirFS("/"))))
}

func auto(most int64) int64 { return min(max(most/4, leastAuto), most/4*3) }

// machine is the size of the machine's memory in bytes.
func machine() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return none
	}
	return int64(info.Totalram) * int64(info.Unit)
}

// none is no limit.
const none = int64(1) << 62

// group is the smallest limit of the control groups that this process is in, of version 2 or 1, as root shows them.
func group(root fs.FS) int64 {
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return none
	}
	least := none
	for lines := bufio.NewScanner(strings.NewReader(string(text))); lines.Scan(); {
		f := strings.SplitN(lines.Text(), ":", 3) // number, controllers, path
		switch {
		case len(f) < 3:
		case f[0] == "0" && f[1] == "":
			least = min(least, above(root, "sys/fs/cgroup", f[2], "memory.max"))
		case f[1] == "memory":
			least = min(least, above(root, "sys/fs/cgroup/memory", f[2], "memory.limit_in_bytes"))
		}
	}
	return least
}

// above is the smallest number in the files of that name from the group at dir up to the mount. In a container the path may be that of the
// host, of which only the mount itself is seen.
func above(root fs.FS, mount, dir, file string) int64 {
	least := none
	for dir = path.Clean("/" + dir); ; dir = path.Dir(dir) {
		text, err := fs.ReadFile(root, path.Join(mount, dir, file))
		if n, perr := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && perr == nil && n > 0 {
			least = min(least, n) // "max" is no number
		}
		if dir == "/" {
			return least
		}
	}
}
