package api

import (
	"slices"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/admin"
)

// ruleInfo is a retention rule in the native API. The fields declared here are those of
// ProGet's that this server does not support: clients send them empty.
type ruleInfo struct {
	proget.RetentionRule
	DeleteCached                bool `json:"deleteCached,omitempty"`
	KeepIfActivelyConsumed      bool `json:"keepIfActivelyConsumed,omitempty"`
	KeepConsumedWithinDays      *int `json:"keepConsumedWithinDays,omitempty"`
	KeepPackageUsageRemovedDays *int `json:"keepPackageUsageRemovedDays,omitempty"`
}

func (info *feedInfo) tellRules(rules []proget.RetentionRule) {
	if len(rules) == 0 {
		return
	}
	told, enabled := make([]ruleInfo, len(rules)), true
	for i := range rules {
		told[i].RetentionRule = rules[i]
	}
	info.RetentionRules, info.RetentionRulesEnabled = &told, &enabled
}

// editRules returns the rules that the feed has after the call.
func (info *feedInfo) editRules(present []proget.RetentionRule) ([]proget.RetentionRule, error) {
	rules := present
	if info.RetentionRules != nil {
		rules = nil
		for i, r := range *info.RetentionRules {
			if r.DeleteCached || r.KeepIfActivelyConsumed || r.KeepConsumedWithinDays != nil || r.KeepPackageUsageRemovedDays != nil {
				return nil, proget.Errorf(proget.ErrInvalid, "Retention rule %d has a condition that this server does not support: deleteCached, keepIfActivelyConsumed, keepConsumedWithinDays or keepPackageUsageRemovedDays.", i+1)
			}
			rules = append(rules, r.RetentionRule)
		}
	}
	byAge := func(r proget.RetentionRule) bool { return r.AgeDays > 0 }
	switch {
	case len(rules) > 0 && info.RetentionRulesEnabled != nil && !*info.RetentionRulesEnabled:
		return nil, proget.Errorf(proget.ErrInvalid, "This server cannot keep the retention rules of one feed disabled: remove them.")
	case len(rules) > 0 && slices.ContainsFunc(present, byAge) && !slices.ContainsFunc(rules, byAge):
		return nil, proget.Errorf(proget.ErrConflict, "The feed has a retention rule by age (keepPublishedWithinDays), which ProGet's clients do not know and leave out. Change its rules under Administration, or remove all of them first.")
	}
	return rules, admin.CheckRules(rules)
}
