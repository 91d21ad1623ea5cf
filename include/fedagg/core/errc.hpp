// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_ERRC_HPP
#define FEDAGG_CORE_ERRC_HPP

#include <fedagg/config.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// What went wrong, or why a client was left out. `ok` is zero.
enum class errc : int {
  ok = 0,
  // the caller's
  empty_cohort,
  bad_parameter,
  null_data,
  size_overflow,
  layout_mismatch,
  overlapping_output,
  weight_count,
  zero_weight_sum,
  empty_scope,
  missing_base,
  missing_origin,
  missing_trusted,
  missing_history,
  unsupported_element,
  // the round's
  too_few_clients,
  too_many_rejected,
  weight_majority,
  overflow,
  round_incomplete,
  round_closed,
  search_limit,
  no_client_selected,
  // a client's
  non_finite,
  client_layout,
  invalid_weight,
  integer_range,
  client_range,
  value_range,
  unknown_client,
  duplicate_client,
  late_client,
  stale_client,
  // the machine's
  out_of_memory,
  executor_failed,
  rule_failed,
  // files and configuration
  file_not_found,
  file_io,
  file_truncated,
  file_format,
  checksum_mismatch,
  state_mismatch,
  json_type,
  unknown_rule,
  unknown_optimizer,
  unknown_mixing,
  // secure aggregation: the caller's
  insecure_parameters,
  ring_too_narrow,
  no_randomness,
  state_not_saved,
  // the other party's
  message_format,
  wrong_stage,
  wrong_context,
  bad_key,
  bad_signature,
  bad_share,
  bad_dealer,
  bad_survivors,
  bad_sum,
};

/// One English sentence for a code, without a full stop; never null.
constexpr const char* message(errc code) noexcept {
  switch (code) {
  case errc::ok:
    return "ok";
  case errc::empty_cohort:
    return "the cohort has no client";
  case errc::bad_parameter:
    return "a parameter is outside its range";
  case errc::null_data:
    return "null data with a size other than zero";
  case errc::size_overflow:
    return "a shape whose number of elements or bytes overflows";
  case errc::layout_mismatch:
    return "output and base must have the same tensors: names, element types and shapes";
  case errc::overlapping_output:
    return "the output overlaps an input";
  case errc::weight_count:
    return "one weight per client";
  case errc::zero_weight_sum:
    return "the weights sum to zero";
  case errc::empty_scope:
    return "no tensor matches the scope";
  case errc::missing_base:
    return "an integer tensor that is kept needs a base to keep it from";
  case errc::missing_origin:
    return "this rule needs updates, or models with a base";
  case errc::missing_trusted:
    return "this rule needs a trusted row";
  case errc::missing_history:
    return "this rule needs a history: the sums of each client's updates, declared as updates";
  case errc::unsupported_element:
    return "a tensor of this element type cannot be aggregated";
  case errc::too_few_clients:
    return "too few clients for the rule's condition";
  case errc::too_many_rejected:
    return "more clients were rejected than the round may lose";
  case errc::weight_majority:
    return "the heaviest clients the rule should survive hold half the weight";
  case errc::overflow:
    return "a finite result overflows the output's element type";
  case errc::round_incomplete:
    return "fewer clients finished than the round asks for";
  case errc::round_closed:
    return "the round is over";
  case errc::search_limit:
    return "the search took more nodes than allowed; the best subset so far is in the outcome";
  case errc::no_client_selected:
    return "the rule's conditions leave no client";
  case errc::non_finite:
    return "NaN or Inf";
  case errc::client_layout:
    return "the client's tensors differ from the output's in name, element type or shape";
  case errc::invalid_weight:
    return "a negative or non-finite weight";
  case errc::integer_range:
    return "an integer beyond 2^53, which a double cannot hold";
  case errc::client_range:
    return "values so large that their squares, or the sum of these, cannot be represented";
  case errc::value_range:
    return "a value outside the declared range";
  case errc::unknown_client:
    return "the round does not expect this client";
  case errc::duplicate_client:
    return "an update of this client is in already";
  case errc::late_client:
    return "the update came after the deadline";
  case errc::stale_client:
    return "the client started from a model that is too old";
  case errc::out_of_memory:
    return "out of memory";
  case errc::executor_failed:
    return "the executor did not run every task exactly once";
  case errc::rule_failed:
    return "the rule threw an exception";
  case errc::file_not_found:
    return "no such file";
  case errc::file_io:
    return "the file could not be read or written";
  case errc::file_truncated:
    return "the file is shorter than its header says";
  case errc::file_format:
    return "not a valid file of this format";
  case errc::checksum_mismatch:
    return "the checksum does not match the contents";
  case errc::state_mismatch:
    return "a saved state of another kind, version or configuration";
  case errc::json_type:
    return "a JSON value of the wrong type, or an unknown key";
  case errc::unknown_rule:
    return "no rule of this name";
  case errc::unknown_optimizer:
    return "no optimizer of this name";
  case errc::unknown_mixing:
    return "no mixing of this name";
  case errc::insecure_parameters:
    return "parameters under which the threat model's promise does not hold";
  case errc::ring_too_narrow:
    return "a sum could leave the ring: it needs more bits";
  case errc::no_randomness:
    return "the generator of random secrets failed";
  case errc::state_not_saved:
    return "the state could not be saved, so nothing was released";
  case errc::message_format:
    return "not a valid message of this protocol and version";
  case errc::wrong_stage:
    return "a message of another stage, or a second one that differs from the first";
  case errc::wrong_context:
    return "a message of another round, or of other parameters, keys or clients";
  case errc::bad_key:
    return "a public key that is repeated, of low order, or not this client's own";
  case errc::bad_signature:
    return "a signature that does not verify";
  case errc::bad_share:
    return "a share that does not open, or is not the one its dealer committed to";
  case errc::bad_dealer:
    return "shares that do not yield the secret their dealer committed to";
  case errc::bad_survivors:
    return "announced clients that are too few, unknown, or contradict what was announced before";
  case errc::bad_sum:
    return "a sum that the accepted clients cannot have sent";
  }
  return "unknown error";
}

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_CORE_ERRC_HPP
