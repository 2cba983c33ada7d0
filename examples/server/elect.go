package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/proget-go/ha/election"
	"github.com/proget-go/ha/election/electionplugin"
	"github.com/proget-go/ha/election/etcd"
	"github.com/proget-go/ha/election/static"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/node"
)

// electKind splits -elect into its kind and the rest.
func (c *config) electKind() (kind, rest string) {
	if c.elect == "" {
		return "database", ""
	}
	kind, rest, _ = strings.Cut(c.elect, ":")
	return kind, rest
}

func (c *config) checkElect() error {
	kind, rest := c.electKind()
	if c.electEnv != "" && kind != "plugin" {
		return usageError("-elect-env is only for a plugin, as in -elect plugin:PROGRAM")
	}
	switch {
	case c.elect == "", c.elect == "database", c.elect == "static":
		return nil
	case kind == "etcd", kind == "etcds":
		if _, err := etcd.Parse(c.elect); err != nil {
			return usageError("-elect: " + proget.Message(err))
		}
		return nil
	case kind == "plugin":
		return c.checkPlugin(rest)
	}
	return usageError("-elect: use database, static, etcd://HOST:2379/PREFIX or plugin:PROGRAM")
}

func (c *config) checkPlugin(rest string) error {
	program, _, ok := pluginCommand(rest)
	if !ok {
		return usageError(`-elect plugin: name the program and its arguments, as in "plugin:/opt/elect --at here"; a path with spaces goes between double quotes`)
	}
	if _, err := exec.LookPath(program); err != nil && c.elects() {
		return usageError(fmt.Sprintf("-elect plugin: %v", err))
	}
	return nil
}

// pluginCommand splits a command into its program, which may be quoted, and arguments.
func pluginCommand(text string) (program string, args []string, ok bool) {
	text = strings.TrimSpace(text)
	if quoted, found := strings.CutPrefix(text, `"`); found {
		program, text, ok = strings.Cut(quoted, `"`)
		return program, strings.Fields(text), ok && program != ""
	}
	words := strings.Fields(text)
	if len(words) == 0 {
		return "", nil, false
	}
	return words[0], words[1:], true
}

// pluginEnv returns those variables of the server's environment that the plugin is to
// get.
func (c *config) pluginEnv() (env []string) {
	for name := range strings.SplitSeq(c.electEnv, ",") {
		name = strings.TrimSpace(name)
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// elects reports whether this node is a candidate.
func (c *config) elects() bool { return slices.Contains(c.roles, node.RoleIndex) }

// shownElect returns -elect without secrets.
func (c *config) shownElect() string {
	kind, rest := c.electKind()
	if kind == "plugin" { // its arguments may be secrets
		program, _, _ := pluginCommand(rest)
		return "plugin:" + program
	}
	return redact(c.elect)
}

// openElector returns a nil driver for a node that is not a candidate or elects by the
// database.
func (c *config) openElector(ctx context.Context) (d election.Driver, closing func() error, err error) {
	closing = func() error { return nil }
	kind, rest := c.electKind()
	if !c.elects() || kind == "database" {
		return nil, closing, nil
	}
	switch kind {
	case "static":
		return static.New(), closing, nil
	case "plugin":
		program, args, _ := pluginCommand(rest)
		var p *electionplugin.Plugin
		if p, err = electionplugin.Open(ctx, program, args, &electionplugin.Options{Env: c.pluginEnv()}); err == nil {
			return p, p.Close, nil
		}
	default:
		var s etcd.Settings
		var e *etcd.Connection
		if s, err = etcd.Parse(c.elect); err == nil {
			if e, err = etcd.Open(ctx, s); err == nil {
				return e, e.Close, nil
			}
		}
	}
	return nil, nil, fmt.Errorf("-elect %s cannot be used: %w", c.shownElect(), err)
}
