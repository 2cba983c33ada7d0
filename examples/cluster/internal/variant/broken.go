package variant

// Broken holds versions of the server that each break a promise, by what they do wrong.
// A suite that does not catch them proves nothing.
var Broken = map[string][]Edit{
	// What is written in a term that is over is not refused.
	"fence off": {
		{"db/leases.go", "if err != nil || n > 0 {\n\t\treturn err\n\t}\n\tvar seen", "if err != nil || n >= 0 {\n\t\treturn err\n\t}\n\tvar seen"},
	},

	// The files of deleted versions are never freed.
	"garbage is kept": {
		{"indexing/upkeep/collect.go", "{c.delete, c.sweep, c.delete, c.leftovers}", "{}"},
	},

	// A change becomes known to the other nodes a while after it was acknowledged.
	"log row outside the transaction": {
		{"db/log.go", "\t\tseq, err = tx.append(ctx, ch)\n\t\treturn err\n", `		go func() {
			time.Sleep(300 * time.Millisecond)
			_ = s.Tx(context.WithoutCancel(ctx), func(tx *Tx) error {
				_, err := tx.append(context.WithoutCancel(ctx), ch)
				return err
			})
		}()
		return nil
`},
	},

	// Of each four files of packages, one is lost if the process is killed within seconds,
	// as where a disk's power is cut before it has written what it was given.
	"acknowledged before it is on disk": {
		{"storage/share/writer.go", "\treturn w.do(w.ctx, w.syncFolder)\n",
			"\tunwritten(filepath.Join(w.b.dir, w.name))\n\treturn nil\n"},
		{File: "storage/share/unwritten.go", New: `package share

import (
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// unwritten has another process remove one of each four files as soon as this one
// ends, unless that is seconds later.
func unwritten(path string) {
	if rand.N(4) > 0 || !strings.Contains(filepath.ToSlash(path), "/blobs/") {
		return
	}
	cmd := exec.Command("sh", "-c", "read x || rm -f \"$0\"", path)
	alive, err := cmd.StdinPipe() // ends with this process
	if err != nil || cmd.Start() != nil {
		return
	}
	go func() {
		time.Sleep(5 * time.Second)
		_, _ = alive.Write([]byte("written\n"))
		_ = cmd.Wait()
	}()
}
`},
	},

	// What was read once is served as it was.
	"cache not invalidated": {
		{"proget/catalog/catalog.go", "c.drop(key{feedID, e.PackageKey})", "_ = e"},
	},
}
