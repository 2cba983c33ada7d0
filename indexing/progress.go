package indexing

import (
	"fmt"
	"strings"
	"sync"
)

// Limits of what one attempt of a job reports.
const (
	maxLines = 2000    // in its log
	maxLine  = 2 << 10 // bytes of a line, or of a message
)

// kept returns text in a form that every database accepts, and truncated to maxLine
// bytes. Jobs quote files and other servers, whose bytes may be anything; if the
// database refused them, the heartbeat, the log or the job's end would be lost as well.
func kept(text string) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
	if len(text) > maxLine {
		text = strings.ToValidUTF8(text[:maxLine], "") + " …"
	}
	return text
}

// A Progress records how far a job has come, and its log. Its methods may be called at
// any rate; the next heartbeat writes what they recorded.
type Progress struct {
	mu          sync.Mutex
	done, total int64
	message     string
	said        int      // lines logged so far
	lines       []string // not yet being written
	sending     []string // being written, as one part of the log
	part        int64
}

// Set records that done of total units are done; total 0 means that their number is
// unknown.
func (p *Progress) Set(done, total int64, message string) {
	message = kept(message)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done, p.total, p.message = done, total, message
}

// Get returns the arguments of the last Set.
func (p *Progress) Get() (done, total int64, message string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done, p.total, p.message
}

// Log adds a line to the job's log, which people read. After 2000 lines, the log only
// says that there is more.
func (p *Progress) Log(format string, args ...any) {
	line := kept(strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " "))
	p.mu.Lock()
	defer p.mu.Unlock()
	switch p.said++; {
	case p.said < maxLines:
		p.lines = append(p.lines, line)
	case p.said == maxLines:
		p.lines = append(p.lines, "There is more, which is not kept.")
	}
}

// unwritten returns the next part of the log, which stays the same until written is
// called: an earlier attempt may have written it without learning so.
func (p *Progress) unwritten() (part int64, lines []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.sending) == 0 {
		p.sending, p.lines = p.lines, nil
	}
	return p.part, p.sending
}

func (p *Progress) written() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.part++
	p.sending = nil
}
