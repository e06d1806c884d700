//! Files that follow each other: a new one when the last has reached its size, the oldest removed when all of them have
//! reached theirs.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use arrow_array::RecordBatch;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};
use arrow_ipc::{CompressionType, MetadataVersion};
use arrow_schema::{ArrowError, SchemaRef};

use crate::files::schema;
use crate::frame;

/// Where files go and how large they become.
#[derive(Debug, Clone)]
pub struct Place {
    /// The folder.
    pub folder: PathBuf,
    /// What the names of all files start with.
    pub prefix: String,
    /// A file is finished when it is larger than this.
    pub file_bytes: u64,
    /// The oldest files are removed when all of them together are larger than this.
    pub total_bytes: u64,
    /// What is written is compressed, which takes more time than all the rest of writing it.
    pub compressed: bool,
}

/// What is in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Operations.
    Operations,
    /// Conversions of their results that came after their end.
    Conversions,
    /// Samples of probes.
    Probes,
}

impl Content {
    const fn name(self) -> &'static str {
        match self {
            Content::Operations => "operations",
            Content::Conversions => "conversions",
            Content::Probes => "probes",
        }
    }
}

/// Files of this process are numbered one after the other, whichever recording they belong to.
static NUMBER: AtomicU32 = AtomicU32::new(1);

/// A file that counts what goes through it.
struct Counting {
    file: BufWriter<File>,
    bytes: u64,
}

impl Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

struct Open {
    path: PathBuf,
    schema: SchemaRef,
    writer: FileWriter<Counting>,
}

/// The files of one recording.
pub struct Files {
    place: Place,
    operations: Option<Open>,
    conversions: Option<Open>,
    probes: Option<Open>,
    finished: VecDeque<(PathBuf, u64)>,
    /// Bytes in finished files, those that were removed included.
    written: u64,
    removed: u64,
}

impl Files {
    /// Makes the folder and the first file.
    ///
    /// # Errors
    /// What is wrong with the folder, in words.
    pub fn create(place: Place) -> Result<Files, String> {
        let folder = &place.folder;
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("cannot make the folder {}: {error}", folder.display()))?;
        let shown = folder.display().to_string();
        let mut files = Files {
            place,
            operations: None,
            conversions: None,
            probes: None,
            finished: VecDeque::new(),
            written: 0,
            removed: 0,
        };
        files
            .open(Content::Operations)
            .map(drop)
            .map_err(|error| format!("cannot write to {shown}: {error}"))?;
        Ok(files)
    }

    /// The columns of the file that is being written.
    ///
    /// # Errors
    /// If there is no file and none can be made.
    pub fn schema(&mut self, content: Content) -> Result<SchemaRef, ArrowError> {
        Ok(self.open(content)?.schema.clone())
    }

    fn slot(&mut self, content: Content) -> &mut Option<Open> {
        match content {
            Content::Operations => &mut self.operations,
            Content::Conversions => &mut self.conversions,
            Content::Probes => &mut self.probes,
        }
    }

    fn open(&mut self, content: Content) -> Result<&mut Open, ArrowError> {
        if self.slot(content).is_none() {
            let made = self.make(content)?;
            *self.slot(content) = Some(made);
        }
        self.slot(content)
            .as_mut()
            .ok_or_else(|| ArrowError::InvalidArgumentError("no file".to_owned()))
    }

    fn make(&self, content: Content) -> Result<Open, ArrowError> {
        let frame = frame::frame();
        let schema = match content {
            Content::Operations => schema::operations(&frame),
            Content::Conversions => schema::conversions(&frame),
            Content::Probes => schema::probes(&frame),
        };
        let (path, file) = self.unused(content.name())?;
        let counting = Counting {
            file: BufWriter::with_capacity(256 << 10, file),
            bytes: 0,
        };
        let compression = self.place.compressed.then_some(CompressionType::LZ4_FRAME);
        let options = IpcWriteOptions::try_new(8, false, MetadataVersion::V5)?
            .try_with_compression(compression)?;
        let mut writer = FileWriter::try_new_with_options(counting, &schema, options)?;
        writer.flush()?;
        Ok(Open {
            path,
            schema,
            writer,
        })
    }

    /// A new file; another process with the same number may have left one with the same name.
    fn unused(&self, content: &str) -> io::Result<(PathBuf, File)> {
        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let name = format!(
                "{}-{}-{}-{number:06}.{content}.arrow",
                self.place.prefix,
                frame::host(),
                std::process::id()
            );
            let path = self.place.folder.join(name);
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => return Ok((path, file)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes a batch so that another process can read it.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&mut self, content: Content, batch: &RecordBatch) -> Result<(), ArrowError> {
        let limit = self.place.file_bytes;
        let open = self.open(content)?;
        open.writer.write(batch)?;
        open.writer.flush()?;
        if open.writer.get_ref().bytes >= limit {
            self.finish(content)?;
        }
        self.make_room();
        Ok(())
    }

    fn finish(&mut self, content: Content) -> Result<(), ArrowError> {
        if let Some(mut open) = self.slot(content).take() {
            open.writer.finish()?;
            let bytes = open.writer.get_ref().bytes;
            self.written += bytes;
            self.finished.push_back((open.path, bytes));
        }
        Ok(())
    }

    fn make_room(&mut self) {
        let mut all =
            self.bytes_of_open() + self.finished.iter().map(|(_, bytes)| bytes).sum::<u64>();
        while all > self.place.total_bytes {
            let Some((path, bytes)) = self.finished.pop_front() else {
                return;
            };
            all -= bytes;
            // Somebody may have taken it away already.
            let _ = std::fs::remove_file(&path);
            self.removed += 1;
        }
    }

    /// Finishes all files.
    ///
    /// # Errors
    /// What the system says first; the other files are finished all the same.
    pub fn close(&mut self) -> Result<(), ArrowError> {
        let operations = self.finish(Content::Operations);
        let conversions = self.finish(Content::Conversions);
        let probes = self.finish(Content::Probes);
        self.make_room();
        operations.and(conversions).and(probes)
    }

    /// Bytes that were written, and files that were removed.
    #[must_use]
    pub fn written_and_removed(&self) -> (u64, u64) {
        (self.written + self.bytes_of_open(), self.removed)
    }

    fn bytes_of_open(&self) -> u64 {
        let open = [&self.operations, &self.conversions, &self.probes];
        let bytes = open.into_iter().flatten();
        bytes.map(|open| open.writer.get_ref().bytes).sum()
    }

    /// The file of operations that is being written.
    #[must_use]
    pub fn current(&self) -> Option<&Path> {
        self.operations.as_ref().map(|open| open.path.as_path())
    }
}
