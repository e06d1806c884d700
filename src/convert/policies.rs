//! Policies and metas out of Python dictionaries.
//!
//! Which goes first when both say something: on calls for one record the policy, in batches the meta
//! of the record. `gen` is a rule (`POLICY_GEN_*`) in a policy and a generation in a meta.

use aerospike_core::{
    AdminPolicy, BasePolicy, BatchDeletePolicy, BatchPolicy, BatchReadPolicy, BatchWritePolicy,
    CommitLevel, Concurrency, Expiration, GenerationPolicy, ReadModeAp, ReadPolicy, ReadTouchTtl,
    RecordExistsAction, Replica, WritePolicy,
};
use pyo3::prelude::*;

use crate::convert::options::Options;
use crate::exceptions::invalid_argument;

type Argument<'a, 'py> = Option<&'a Bound<'py, PyAny>>;

const NEVER_EXPIRE: i64 = -1;
const DONT_UPDATE: i64 = -2;
const CLIENT_DEFAULT: i64 = -3;
/// The numbers above mean something else on the wire.
const MAX_TTL: i64 = 0xffff_fff0;

/// The policy of a read of one record.
pub fn read_policy(policy: Argument<'_, '_>) -> PyResult<ReadPolicy> {
    let options = Options::new(policy, "policy")?;
    let mut policy = ReadPolicy::default();
    if !options.is_empty() {
        fill_base(&options, &mut policy.base_policy)?;
    }
    Ok(policy)
}

/// The policy of a write of one record.
pub fn write_policy(meta: Argument<'_, '_>, policy: Argument<'_, '_>) -> PyResult<WritePolicy> {
    let options = Options::new(policy, "policy")?;
    let meta = Options::new(meta, "meta")?;
    let mut policy = WritePolicy::default();
    if options.is_empty() && meta.is_empty() {
        return Ok(policy);
    }
    fill_base(&options, &mut policy.base_policy)?;
    let fields = WriteFields::of_policy(&options)?.or(WriteFields::of_meta(&meta)?);
    policy.record_exists_action = fields.exists.unwrap_or(policy.record_exists_action);
    policy.generation_policy = fields.generation_policy.unwrap_or(policy.generation_policy);
    policy.generation = fields.generation.unwrap_or(policy.generation);
    policy.commit_level = fields.commit_level.unwrap_or(policy.commit_level);
    policy.expiration = fields.expiration.unwrap_or(policy.expiration);
    policy.send_key = fields.send_key.unwrap_or(policy.send_key);
    policy.durable_delete = fields.durable_delete.unwrap_or(policy.durable_delete);
    Ok(policy)
}

/// How a batch is sent. Batches that write are not repeated by the driver unless the policy says so.
pub fn batch_policy(options: &Options<'_, '_>, writes: bool) -> PyResult<BatchPolicy> {
    let mut policy = if writes {
        BatchPolicy::write_default()
    } else {
        BatchPolicy::default()
    };
    if options.is_empty() {
        return Ok(policy);
    }
    fill_base(options, &mut policy.base_policy)?;
    if let Some(flag) = options.flag("allow_inline")? {
        policy.allow_inline = flag;
    }
    if let Some(flag) = options.flag("allow_inline_ssd")? {
        policy.allow_inline_ssd = flag;
    }
    if let Some(flag) = options.flag("respond_all_keys")? {
        policy.respond_all_keys = flag;
    }
    let concurrencies = [Concurrency::Sequential, Concurrency::Parallel];
    if let Some(concurrency) = options.choice("concurrency", &concurrencies)? {
        policy.concurrency = concurrency;
    }
    Ok(policy)
}

/// How each record of a batch is read.
pub fn batch_read_policy(options: &Options<'_, '_>) -> PyResult<BatchReadPolicy> {
    let mut policy = BatchReadPolicy::default();
    if let Some(read_touch_ttl) = read_touch_ttl(options)? {
        policy.read_touch_ttl = read_touch_ttl;
    }
    Ok(policy)
}

/// The policy of info commands and truncation.
pub fn admin_policy(policy: Argument<'_, '_>) -> PyResult<AdminPolicy> {
    let options = Options::new(policy, "policy")?;
    Ok(AdminPolicy {
        timeout: options.u32("timeout")?.unwrap_or_default(),
    })
}

/// What a write may ask for, each or not.
#[derive(Debug, Clone, Copy, Default)]
pub struct WriteFields {
    generation_policy: Option<GenerationPolicy>,
    generation: Option<u32>,
    expiration: Option<Expiration>,
    send_key: Option<bool>,
    exists: Option<RecordExistsAction>,
    commit_level: Option<CommitLevel>,
    durable_delete: Option<bool>,
}

impl WriteFields {
    /// Those of a policy.
    pub fn of_policy(options: &Options<'_, '_>) -> PyResult<Self> {
        if options.is_empty() {
            return Ok(WriteFields::default());
        }
        let rules = [
            GenerationPolicy::None,
            GenerationPolicy::ExpectGenEqual,
            GenerationPolicy::ExpectGenGreater,
        ];
        Ok(WriteFields {
            generation_policy: options.choice("gen", &rules)?,
            ..WriteFields::common(options)?
        })
    }

    /// Those of a meta.
    pub fn of_meta(options: &Options<'_, '_>) -> PyResult<Self> {
        if options.is_empty() {
            return Ok(WriteFields::default());
        }
        let generation = options.u32("gen")?;
        Ok(WriteFields {
            generation,
            generation_policy: generation.map(|_| GenerationPolicy::ExpectGenEqual),
            ..WriteFields::common(options)?
        })
    }

    fn common(options: &Options<'_, '_>) -> PyResult<Self> {
        let actions = [
            RecordExistsAction::Update,
            RecordExistsAction::UpdateOnly,
            RecordExistsAction::Replace,
            RecordExistsAction::ReplaceOnly,
            RecordExistsAction::CreateOnly,
        ];
        Ok(WriteFields {
            generation_policy: None,
            generation: None,
            expiration: expiration(options)?,
            send_key: options.choice("key", &[false, true])?,
            exists: options.choice("exists", &actions)?,
            commit_level: options.choice(
                "commit_level",
                &[CommitLevel::CommitAll, CommitLevel::CommitMaster],
            )?,
            durable_delete: options.flag("durable_delete")?,
        })
    }

    /// These, and for what they leave open the others.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        WriteFields {
            generation_policy: self.generation_policy.or(others.generation_policy),
            generation: self.generation.or(others.generation),
            expiration: self.expiration.or(others.expiration),
            send_key: self.send_key.or(others.send_key),
            exists: self.exists.or(others.exists),
            commit_level: self.commit_level.or(others.commit_level),
            durable_delete: self.durable_delete.or(others.durable_delete),
        }
    }

    /// How a record of a batch is written.
    pub fn batch_write_policy(self) -> BatchWritePolicy {
        let default = BatchWritePolicy::default();
        BatchWritePolicy {
            record_exists_action: self.exists.unwrap_or(default.record_exists_action),
            generation_policy: self.generation_policy.unwrap_or(default.generation_policy),
            commit_level: self.commit_level.unwrap_or(default.commit_level),
            generation: self.generation.unwrap_or(default.generation),
            expiration: self.expiration.unwrap_or(default.expiration),
            send_key: self.send_key.unwrap_or(default.send_key),
            durable_delete: self.durable_delete.unwrap_or(default.durable_delete),
            ..default
        }
    }

    /// How a record of a batch is deleted.
    pub fn batch_delete_policy(self) -> BatchDeletePolicy {
        let default = BatchDeletePolicy::default();
        BatchDeletePolicy {
            generation_policy: self.generation_policy.unwrap_or(default.generation_policy),
            commit_level: self.commit_level.unwrap_or(default.commit_level),
            generation: self.generation.unwrap_or(default.generation),
            send_key: self.send_key.unwrap_or(default.send_key),
            durable_delete: self.durable_delete.unwrap_or(default.durable_delete),
            ..default
        }
    }
}

fn fill_base(options: &Options<'_, '_>, base: &mut BasePolicy) -> PyResult<()> {
    if let Some(milliseconds) = options.u32("socket_timeout")? {
        base.socket_timeout = milliseconds;
    }
    if let Some(milliseconds) = options.u32("total_timeout")? {
        base.total_timeout = milliseconds;
    }
    if let Some(retries) = options.count("max_retries")? {
        base.max_retries = retries;
    }
    if let Some(milliseconds) = options.u32("sleep_between_retries")? {
        base.sleep_between_retries = milliseconds;
    }
    if let Some(milliseconds) = options.u32("timeout_delay")? {
        base.timeout_delay = milliseconds;
    }
    let replicas = [Replica::Master, Replica::Sequence, Replica::PreferRack];
    if let Some(replica) = options.choice("replica", &replicas)? {
        base.replica = replica;
    }
    if let Some(mode) = options.choice("read_mode_ap", &[ReadModeAp::One, ReadModeAp::All])? {
        base.read_mode_ap = mode;
    }
    if let Some(read_touch_ttl) = read_touch_ttl(options)? {
        base.read_touch_ttl = read_touch_ttl;
    }
    if options.get("filter_expression")?.is_some() {
        return Err(invalid_argument(
            "policy[\"filter_expression\"] is not supported by this version: leave it out and filter the results",
        ));
    }
    Ok(())
}

fn read_touch_ttl(options: &Options<'_, '_>) -> PyResult<Option<ReadTouchTtl>> {
    let percent = options.int("read_touch_ttl_percent", -1, 100)?;
    Ok(percent.map(|percent| match u8::try_from(percent) {
        Ok(0) => ReadTouchTtl::ServerDefault,
        Ok(percent) => ReadTouchTtl::Percent(percent),
        Err(_) => ReadTouchTtl::DontReset,
    }))
}

fn expiration(options: &Options<'_, '_>) -> PyResult<Option<Expiration>> {
    let seconds = options.int("ttl", CLIENT_DEFAULT, MAX_TTL)?;
    Ok(seconds.map(expiration_of))
}

/// What a time to live in seconds, or one of the special numbers, means.
pub fn expiration_of(seconds: i64) -> Expiration {
    match seconds {
        NEVER_EXPIRE => Expiration::Never,
        DONT_UPDATE => Expiration::DontUpdate,
        seconds => match u32::try_from(seconds) {
            Ok(0) | Err(_) => Expiration::NamespaceDefault,
            Ok(seconds) => Expiration::Seconds(seconds),
        },
    }
}

/// Checks a time to live that does not come from a dictionary.
pub fn checked_expiration(seconds: i64, what: &str) -> PyResult<Expiration> {
    if !(CLIENT_DEFAULT..=MAX_TTL).contains(&seconds) {
        return Err(invalid_argument(format!(
            "{what} must be a number of seconds up to {MAX_TTL}, 0, -1, -2 or -3, not {seconds}"
        )));
    }
    Ok(expiration_of(seconds))
}
