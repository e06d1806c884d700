//! Everything there is to export, as families: what each is called, what its labels are and where its
//! numbers come from.

mod clients;
mod connections;
mod operations;
mod probes;

use aerospike_stages::collector::totals_with_series;

use crate::export::model::Family;

/// All families of this process, of clients that connected in this generation of forks.
pub fn collect(generation: u64) -> Vec<Family> {
    let totals = totals_with_series();
    let mut families = operations::families(&totals);
    families.extend(connections::families());
    families.extend(clients::families(generation));
    families.extend(probes::families());
    families
}
