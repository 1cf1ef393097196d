"""
Routing sound
=============

Clips of sound as queries: the bytes of WAV files go into the column "query", and a
transformer of scikit-learn turns them into vectors.
"""

# %%
# Clips
# -----
# Short clips of three kinds are made: a tone, a tone that rises, and noise. Each is the
# content of a WAV file. Paths of files would do as well.

import io

import numpy as np
from scipy.io import wavfile

RATE = 8_000
rng = np.random.default_rng(0)
seconds = np.arange(RATE // 4) / RATE


def wav_of(sound):
    file = io.BytesIO()
    wavfile.write(file, RATE, (20_000 * sound / np.abs(sound).max()).astype(np.int16))
    return file.getvalue()


def make_clip(kind):
    pitch = rng.uniform(300, 1200)
    noise = rng.normal(size=len(seconds))
    sounds = {
        "tone": np.sin(2 * np.pi * pitch * seconds),
        "rising": np.sin(2 * np.pi * pitch * (1 + 4 * seconds) * seconds),
        "noise": noise,
    }
    return wav_of(sounds[kind] + 0.1 * noise)


kinds = rng.choice(["tone", "rising", "noise"], size=240)
clips = [make_clip(kind) for kind in kinds]

# %%
# A log
# -----
# Three models, each of which is good at two kinds; the answers are made.

import pandas as pd

skill = pd.DataFrame(
    {"tone": [0.9, 0.8, 0.3], "rising": [0.2, 0.9, 0.8], "noise": [0.9, 0.3, 0.8]},
    index=["alpha", "beta", "gamma"],
)
log = pd.DataFrame(
    [
        (model, clip, kind, float(rng.random() < skill.loc[model, kind]))
        for model in skill.index
        for clip, kind in zip(clips, kinds, strict=True)
    ],
    columns=["model", "query", "task", "score"],
)

# %%
# An encoder of sound
# -------------------
# How loud each of 24 bands of pitch is, at the beginning and at the end of the clip.

from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skl_locus import KNNRouter, QueryEncoder
from skl_locus.model_selection import QueryShuffleSplit


def loudness(clips):
    return np.stack([_loudness(wavfile.read(io.BytesIO(clip))[1]) for clip in clips])


def _loudness(sound):
    halves = np.array_split(sound.astype(float), 2)
    spectra = [np.abs(np.fft.rfft(half))[:480].reshape(24, 20) for half in halves]
    return np.log1p(np.concatenate([bands.mean(axis=1) for bands in spectra]))


encoder = QueryEncoder(make_pipeline(FunctionTransformer(loudness), StandardScaler()))
split = QueryShuffleSplit(n_splits=1, test_size=0.4, random_state=0)
train, test = (log.iloc[rows] for rows in next(split.split(log)))
router = KNNRouter(n_neighbors="auto", encoder=encoder).fit(train, train["score"])
# %%
# Routes
# ------
# Whom the router chooses for the clips that it has not heard: fields that are dark on
# the left should be dark on the right.

import matplotlib.pyplot as plt

unheard = test.drop_duplicates("query")
routes = router.route(unheard["query"].to_list())
chosen = pd.crosstab(unheard["task"], routes, normalize="index").reindex(
    index=skill.columns, columns=skill.index, fill_value=0
)
fig, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
panels = {"Share of clips sent to each model": chosen, "Mean score": skill.T}
for ax, (title, table) in zip(axes, panels.items(), strict=True):
    ax.imshow(table, cmap="Blues", vmin=0, vmax=1)
    ax.set_xticks(range(3), table.columns)
    ax.set_yticks(range(3), table.index)
    ax.set_title(title)
    for (row, column), value in np.ndenumerate(table.to_numpy()):
        color = "white" if value > 0.6 else "black"
        ax.text(column, row, f"{value:.2f}", ha="center", va="center", color=color)
plt.show()

# %%
# The mean score of the routes, beside the best single model:

scores = test.pivot_table(index="query", columns="model", values="score", sort=False)
scores = scores.loc[unheard["query"]]
routed = scores.to_numpy()[np.arange(len(scores)), scores.columns.get_indexer(routes)]
print(f"routed {routed.mean():.3f}, best single model {scores.mean().max():.3f}")
