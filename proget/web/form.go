package web

import (
	"errors"

	"github.com/proget-go/ha/proget"
)

// A refusal says what is wrong with a form, which is then shown again.
type refusal struct {
	Message string
	status  int
}

// refused returns what is wrong with a form if err is one that the visitor can correct.
func refused(err error) (refusal, bool) {
	for _, kind := range []error{proget.ErrInvalid, proget.ErrConflict, proget.ErrNotFound} {
		if errors.Is(err, kind) {
			e := describe(err)
			return refusal{e.Message, e.Status}, true
		}
	}
	return refusal{}, false
}

// An option is one choice in a form.
type option struct {
	Value, Title string
	Selected     bool
}

// taskTitles describes the tasks to people. Each task includes those before it.
var taskTitles = []struct {
	task  proget.Task
	title string
}{
	{proget.TaskView, "View and download"},
	{proget.TaskPublish, "View, download and publish"},
	{proget.TaskManage, "View, download, publish, unlist and delete"},
	{proget.TaskAdminister, "Everything, administration included"},
}

func taskTitle(task proget.Task) string {
	for _, t := range taskTitles {
		if t.task == task {
			return t.title
		}
	}
	return string(task)
}

func taskOptions(selected string) []option {
	var options []option
	for _, t := range taskTitles {
		options = append(options, option{string(t.task), t.title, string(t.task) == selected})
	}
	return options
}

// feedOptions returns the options "all feeds" and each feed.
func (s *site) feedOptions(v *visit, selected string) ([]option, error) {
	feeds, err := s.Catalog.Feeds(v.Context())
	options := []option{{"", "All feeds", selected == ""}}
	for _, f := range feeds {
		options = append(options, option{f.Name, f.Name, f.Name == selected})
	}
	return options, err
}

// feedNames returns the names of all feeds by ID, and one for all of them together.
func (s *site) feedNames(v *visit) (map[int64]string, error) {
	feeds, err := s.Catalog.Feeds(v.Context())
	names := map[int64]string{0: ""}
	for _, f := range feeds {
		names[f.ID] = f.Name
	}
	return names, err
}
