"""Operations on one picture: conversion, warp, colour, noise, adjustments."""
