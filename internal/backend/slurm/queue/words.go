/*
Copyright 2026 The remotejob-operator Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package queue

import "strings"

// words say in a sentence's part why a job waits or ended. Reasons that are limits of an account or a QOS are put in words by their parts.
var words = map[string]string{
	"":                         "SLURM has not looked at it yet",
	"Priority":                 "jobs with a higher priority come first",
	"Resources":                "it waits for resources",
	"Dependency":               "it waits for another job",
	"DependencyNeverSatisfied": "the job that it waits for did not end as it should, so it will never start",
	"BeginTime":                "its begin time has not come yet",
	"JobHeldUser":              "its user or the operator's account holds it",
	"JobHeldAdmin":             "an administrator holds it",
	"Licenses":                 "it waits for a license",
	"Prolog":                   "its prolog runs",
	"Cleaning":                 "what its last run left is being cleaned up",
	"Reservation":              "it waits for its reservation",
	"ReservationDeleted":       "its reservation was deleted",
	"ReqNodeNotAvail":          "nodes that it needs are not available",
	"Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions": "nodes that it needs are down, drained or reserved",
	"NodeDown":                                "a node that it needs is down",
	"PartitionDown":                           "its partition is down",
	"PartitionInactive":                       "its partition is inactive",
	"PartitionNodeLimit":                      "it asks for more nodes than its partition allows, or for nodes that are not there",
	"PartitionTimeLimit":                      "it asks for more time than its partition allows",
	"PartitionConfig":                         "it asks for what its partition does not allow",
	"BadConstraints":                          "no node has what it asks for",
	"AccountNotAllowed":                       "its account may not use the partition",
	"QOSNotAllowed":                           "its QOS may not be used by the account or in the partition",
	"AccountingPolicy":                        "a limit of its account has been reached",
	"AssociationJobLimit":                     "its account has reached its number of jobs",
	"AssociationResourceLimit":                "its account has reached its limit of resources",
	"AssociationTimeLimit":                    "its account has reached its limit of time",
	"InvalidAccount":                          "its account is not valid",
	"InvalidQOS":                              "its QOS is not valid",
	"QOSUsageThreshold":                       "the usage threshold of its QOS has been reached",
	"JobArrayTaskLimit":                       "its array has as many tasks running as it may",
	"MaxJobsPerAccount":                       "its account has reached its number of jobs",
	"SystemFailure":                           "SLURM, a file system or the network failed",
	"FrontEndDown":                            "no front end node is available",
	"BurstBufferResources":                    "it waits for a burst buffer",
	"BurstBufferStageIn":                      "its burst buffer is being filled",
	"BurstBufferOperation":                    "an operation of its burst buffer failed",
	"WaitingForScheduling":                    "SLURM has not looked at it yet",
	"RaisedSignal":                            "a signal ended it",
	"NonZeroExitCode":                         "its script ended with an exit code other than 0",
	"JobLaunchFailure":                        "its launch failed, by a bad output path or a fault of the node",
	"OutOfMemory":                             "it ran out of memory",
	"TimeLimit":                               "it reached its time limit",
	"InactiveLimit":                           "it was inactive for too long",
	"DeadLine":                                "it can't end before its deadline",
	"Deadline":                                "it can't end before its deadline",
	"FedJobLock":                              "it waits for the clusters of its federation",
	"OriginCluster":                           "it runs on another cluster of the federation",
	"SchedDefer":                              "SLURM puts off looking at it",
	"JobHoldMaxRequeue":                       "it was requeued too often and is held",
	"ReservationMaxStartDelay":                "its reservation began too long ago",
	"launch failed requeued held":             "its launch failed, and it is held until somebody releases it",
	"user env retrieval failed requeued held": "the user's environment could not be had on the node, and it is held until somebody releases it",
	"Node failure":                            "its node failed",
	"job requeued in held state":              "it was requeued and is held until somebody releases it",
	"job requeued in special exit state":      "it was requeued in a special state and is held until somebody releases it",
	"MaxMemPerLimit":                          "it asks for more memory by node or CPU than is allowed",
	"MaxPowerPerUser":                         "its user has reached the limit of power",
	"MaxBBPerUser":                            "its user has reached the limit of burst buffers",
}

// limited are what limits of accounts (Assoc…) and QOSs (QOS…) are about, as their names end.
var limited = []struct{ part, words string }{
	{"SubmitJob", "the number of jobs"}, {"Jobs", "the number of jobs that run"},
	{"Cpu", "CPUs"}, {"CPU", "CPUs"}, {"GRES", "generic resources such as GPUs"}, {"Gres", "generic resources such as GPUs"}, {"Mem", "memory"},
	{"Node", "nodes"}, {"Energy", "energy"}, {"BB", "burst buffers"}, {"License", "licenses"}, {"Billing", "billing units"},
	{"WallDuration", "time"}, {"Wall", "time"}, {"Time", "time"}, {"RunMinutes", "time"}, {"Minutes", "time"}, {"TRES", "resources"},
}

// Words puts a reason of SLURM's into words, with its own word behind them where it has one. squeue writes some with underscores for blanks,
// in parentheses, or with nodes behind a comma.
func Words(reason string) string {
	reason = strings.ReplaceAll(strings.Trim(reason, "()"), "_", " ")
	if reason == "" {
		return words[""]
	}
	name, _, _ := strings.Cut(reason, ",")
	for _, said := range []string{words[reason], words[name], limitWords(name)} {
		if said != "" {
			return said + " (" + reason + ")"
		}
	}
	return reason
}

func limitWords(name string) string {
	var owner string
	switch {
	case strings.HasPrefix(name, "Assoc"):
		owner = "its account"
	case strings.HasPrefix(name, "QOS"):
		owner = "its QOS"
	case strings.HasPrefix(name, "MaxCpuPer"), strings.HasPrefix(name, "MaxGRESPer"), strings.HasPrefix(name, "MaxNodePer"):
		owner = "its account"
	default:
		return ""
	}
	for _, l := range limited {
		if strings.Contains(name, l.part) {
			return "a limit of " + owner + " for " + l.words + " has been reached"
		}
	}
	return "a limit of " + owner + " has been reached"
}

// isHeld tells whether a job waits until somebody releases it.
func isHeld(reason string) bool {
	lower := strings.ToLower(reason)
	return strings.HasPrefix(reason, "JobHeld") || reason == "JobHoldMaxRequeue" || strings.Contains(lower, "held")
}
