package node_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/auth"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/feed/nuget"
	"github.com/proget-go/ha/proget/feed/universal"
	"github.com/proget-go/ha/proget/node"
)

// greeter is an embedder's worker.
type greeter chan string

func (greeter) Kind() string { return "greet" }

func (g greeter) Work(ctx context.Context, j *proget.Job, _ *indexing.Progress) error {
	select {
	case g <- j.Argument:
	case <-ctx.Done():
	}
	return nil
}

// TestEmbeddersJobs: an indexing node works what its embedder gives it, by schedule
// and otherwise.
func TestEmbeddersJobs(t *testing.T) {
	t.Parallel()
	greeted := make(greeter)
	var store *db.Store
	server, _ := newWorld(t).startNode(t, "a", func(c *node.Config) {
		store = c.DB
		c.Workers = []indexing.Worker{greeted}
		c.Tasks = []indexing.Task{{Name: "greeting", Title: "Greet everybody", Expression: "@yearly", Job: db.NewJob{Kind: "greet", Argument: "all", Lane: "greetings"}}}
	})
	require.NoError(t, store.Tx(t.Context(), func(tx *db.Tx) error { return tx.Enqueue(t.Context(), db.NewJob{Kind: "greet", Argument: "one"}) }))
	require.Equal(t, "one", <-greeted)
	_, page := ask(t, http.MethodGet, server.URL+"/administration/scheduled-jobs", nil, "X-ApiKey", administrator)
	require.Contains(t, page, "Greet everybody")
	sendForm(t, server.URL+"/administration/scheduled-jobs/run", "name=greeting")
	require.Equal(t, "all", <-greeted)
}

// TestEmbeddersUsers: a program that knows its users itself says who asks. They may do
// what everybody who is signed in may, and what accounts of their names may; what they
// change has their names; keys are good as before.
func TestEmbeddersUsers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var store *db.Store
	server, _ := w.startNode(t, "a", func(c *node.Config) {
		store = c.DB
		c.Identify = func(r *http.Request) (string, error) {
			token, ours := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer jwt:")
			switch {
			case !ours:
				return "", nil
			case token == "expired":
				return "", proget.Errorf(proget.ErrUnauthenticated, "The token has expired: sign in again.")
			}
			return token, nil
		}
	})
	require.NoError(t, store.Administer(t.Context(), "test", func(tx *db.Tx) error {
		return errors.Join(tx.CreateUser(t.Context(), "Ann", "no password"), tx.Grant(t.Context(), db.Permission{Subject: auth.SubjectUser("Ann"), Task: proget.TaskPublish}))
	}))
	push := func(version string, headers ...string) (int, string) {
		resp, said := ask(t, http.MethodPut, server.URL+"/nuget/nuget/api/v2/package", testenv.Nupkg(t, "Acme.Lib", version), headers...)
		return resp.StatusCode, said
	}
	code, said := push("1.0.0", "Authorization", "Bearer jwt:expired")
	require.Equal(t, http.StatusUnauthorized, code)
	require.Contains(t, said, "The token has expired")
	code, said = push("1.0.0", "Authorization", "Bearer jwt:bob")
	require.Equal(t, http.StatusForbidden, code, said)
	code, said = push("1.0.0", "Authorization", "Bearer jwt:ann")
	require.Equal(t, http.StatusCreated, code, said)
	code, said = push("1.0.1", "Authorization", "Bearer jwt:ann", "Origin", "https://elsewhere.example", "Sec-Fetch-Site", "cross-site")
	require.Equal(t, http.StatusForbidden, code, said)
	code, said = push("1.0.2", "X-NuGet-ApiKey", administrator)
	require.Equal(t, http.StatusCreated, code, said)
	code, said = push("1.0.3", "Authorization", "Bearer jwt:"+strings.Repeat("a", 500))
	require.Equal(t, http.StatusInternalServerError, code, said)

	require.NoError(t, store.Tx(t.Context(), func(tx *db.Tx) error {
		f, err := tx.FindFeed(t.Context(), "nuget")
		require.NoError(t, err)
		entries, err := store.LogAfter(t.Context(), f.ID, 0, 10)
		require.NoError(t, err)
		require.Equal(t, "ann", entries[0].Actor)
		return nil
	}))
}

func TestEmbeddersJobsTakeNobodysPlace(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*node.Config){
		"a task of a name that is taken": func(c *node.Config) {
			c.Tasks = []indexing.Task{{Name: "retention", Expression: "@yearly", Job: db.NewJob{Kind: "x"}}}
		},
		"a task without anything": func(c *node.Config) { c.Tasks = []indexing.Task{{}} },
		"a task without a time": func(c *node.Config) {
			c.Tasks = []indexing.Task{{Name: "x", Expression: "often", Job: db.NewJob{Kind: "x"}}}
		},
		"a worker of the node's jobs": func(c *node.Config) { c.Workers = []indexing.Worker{taker{}} },
		"two workers of one kind":     func(c *node.Config) { c.Workers = []indexing.Worker{greeter(nil), greeter(nil)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			cfg := w.config(t, "a")
			change(&cfg)
			_, err := node.New(t.Context(), cfg)
			require.Error(t, err)
		})
	}
}

// TestTaskWithoutWorker: jobs that this node could queue and never work are told of.
func TestTaskWithoutWorker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, workers := range [][]indexing.Worker{nil, {greeter(nil)}} {
		var logs testenv.LogBuffer
		cfg := w.config(t, "a")
		cfg.Logger = slog.New(slog.NewTextHandler(&logs, nil))
		cfg.Workers, cfg.Tasks = workers, []indexing.Task{{Name: "greeting", Title: "Greet", Expression: "@yearly", Job: db.NewJob{Kind: "greet"}}}
		n, err := node.New(t.Context(), cfg)
		require.NoError(t, err)
		require.NoError(t, n.Close())
		require.Equal(t, workers == nil, strings.Contains(logs.String(), "has no worker"))
	}
}

// TestFeedTypesTakeNobodysPlace: no feed type is mounted where a node serves anything
// else, be it a page that came later.
func TestFeedTypesTakeNobodysPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, n := w.startNode(t, "a")
	cfg := w.config(t, "b")
	var mounts []string
	for _, each := range cfg.Feeds {
		mounts = append(append(mounts, each.MountName()), each.Mounts...)
	}
	for _, pattern := range n.Patterns() {
		root := strings.Split(pattern, "/")[1]
		if slices.Contains(mounts, root) {
			continue
		}
		if root == "" { // which means the type's name
			continue
		}
		typ := nuget.New(nil)
		typ.Mount = root
		cfg.Feeds = []feed.Type{typ}
		_, err := node.New(t.Context(), cfg)
		require.ErrorContains(t, err, "cannot be mounted at /"+root+"/", pattern)
	}
}

// TestFeedTypesAreChecked: a type that is listed twice, or is not whole, keeps a node
// from starting: each of its requests would fail.
func TestFeedTypesAreChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for want, change := range map[string]func(*feed.Type){
		"two feed types are called universal": func(x *feed.Type) { x.Name = "Universal" },
		"nuget has no NameKey":                func(x *feed.Type) { x.NameKey = nil },
		"nuget has made no handler":           func(x *feed.Type) { x.Handler = func(feed.Services) feed.Handler { return nil } },
		"cannot be mounted at /a?b/":          func(x *feed.Type) { x.Mount = "a?b" },
		"cannot be mounted at /../":           func(x *feed.Type) { x.Mounts = []string{".."} },
	} {
		typ := nuget.New(nil)
		change(&typ)
		cfg := w.config(t, "a")
		cfg.Feeds = []feed.Type{typ, universal.New(nil)}
		_, err := node.New(t.Context(), cfg)
		require.ErrorContains(t, err, want)
	}
}

type taker struct{ greeter }

func (taker) Kind() string { return "collection" }

// TestPanicOfADelivery: a delivery that panics is tried again, like one that fails,
// and keeps the node from nothing else.
func TestPanicOfADelivery(t *testing.T) {
	t.Parallel()
	var log testenv.LogBuffer
	delivered := make(chan string, 100)
	panics := 2
	server, _ := newWorld(t).startNode(t, "a", func(c *node.Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		c.Deliver = map[string]indexing.Deliver{"hook": func(_ context.Context, entries []proget.Entry) error {
			if panics > 0 {
				panics--
				panic("nobody made this map")
			}
			for _, e := range entries {
				delivered <- e.PackageKey
			}
			return nil
		}}
	})
	push := func(n int) { // deliveries begin with what comes after the first primary's beginning
		answer, text := ask(t, http.MethodPut, server.URL+"/nuget/nuget/api/v2/package", testenv.Nupkg(t, "Acme.Lib", fmt.Sprintf("1.0.%d", n)), "X-ApiKey", apiKey)
		require.Equal(t, http.StatusCreated, answer.StatusCode, text)
	}
	key := ""
	for n := 0; key == ""; n++ {
		push(n)
		select {
		case key = <-delivered:
		case <-time.After(200 * time.Millisecond):
			require.Less(t, n, 150, "nothing was delivered: %s", &log)
		}
	}
	require.Equal(t, "acme.lib", key)
	require.Contains(t, log.String(), "nobody made this map")
	require.Contains(t, log.String(), "embedder_test.go", "the stack is in the log")
}

// TestErrorAfterTheBeginning: a handler that fails when it has begun to answer does not
// have its error's text appended to what it wrote: the client sees that it broke off.
func TestErrorAfterTheBeginning(t *testing.T) {
	t.Parallel()
	var log testenv.LogBuffer
	typ := universal.New(nil)
	typ.Operations = feed.Operations{"half": proget.TaskView}
	typ.Handler = func(feed.Services) feed.Handler { return half{} }
	w := newWorld(t)
	server := w.start(t, "a", webOnly, func(c *node.Config) {
		c.Feeds, c.Logger = []feed.Type{typ}, slog.New(slog.NewTextHandler(&log, nil))
	})
	for _, path := range []string{"written", "flushed"} {
		resp, err := http.Get(server.URL + "/upack/universal/" + path)
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			require.NoError(t, resp.Body.Close())
		}
		require.Error(t, err, path)
	}
	require.Contains(t, log.String(), "the source broke off")
	require.NotContains(t, log.String(), "made the server panic")
}

// half is a handler that writes before it fails.
type half struct{}

func (half) Operation(*feed.Request) feed.Operation { return "half" }

func (half) ServeFeed(w http.ResponseWriter, r *feed.Request) error {
	_, _ = io.WriteString(w, "half of it")
	if r.Path == "flushed" {
		_ = http.NewResponseController(w).Flush()
	}
	return errors.New("the source broke off")
}
